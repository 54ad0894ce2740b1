import { type Command, InvalidArgumentError } from 'commander'
import { didYouMean } from '../util/nearest.ts'

/** Adds the choice that was probably meant to what commander says of a value that an option does not take. */
export function suggestChoices(program: Command): void {
  for (const command of program.commands) {
    suggestChoices(command)
    for (const option of command.options) {
      const { argChoices: choices, parseArg: parse } = option
      if (!choices || !parse) continue
      option.argParser((value, before: unknown) => {
        if (choices.includes(value)) return parse(value, before)
        throw new InvalidArgumentError(`Allowed choices are ${choices.join(', ')}${didYouMean(value, choices)}.`)
      })
    }
  }
}
