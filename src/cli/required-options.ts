import type { Command, Option } from 'commander'

/**
 * Has required options asked for after all others are read: commander looks for them first, so that `--recipie` would be reported as a
 * missing `--recipe` instead of as what was mistyped.
 */
export function requireOptionsLast(program: Command): void {
  for (const command of program.commands) {
    requireOptionsLast(command)
    const required = command.options.filter(({ mandatory }) => mandatory)
    for (const option of required) option.mandatory = false
    if (required.length > 0) command.hook('preAction', (_, running) => requireGiven(running, required))
  }
}

/** Errors: CommanderError, printed as commander's own are. */
function requireGiven(command: Command, required: readonly Option[]): void {
  for (const option of required) {
    if (command.getOptionValue(option.attributeName()) !== undefined) continue
    command.error(`error: required option '${option.flags}' not specified`, { code: 'commander.missingMandatoryOptionValue' })
  }
}
