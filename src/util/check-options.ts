import { inspect } from 'node:util'
import { UserError } from './errors.ts'
import { didYouMean } from './nearest.ts'

/** What one option may be. */
export interface Rule {
  readonly expected: string
  fits(value: unknown): boolean
  readonly required?: boolean
}

/** The options of a call, by name. */
export type Rules = Readonly<Record<string, Rule>>

/** A string that is not blank. */
export const text = (what: string): Rule => ({ expected: what, fits: (value) => typeof value === 'string' && value.trim() !== '' })
/** A whole number from `least` to `most`. */
export const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Rule => ({
  expected: most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`,
  fits: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
})
export const flag: Rule = { expected: 'true or false', fits: (value) => typeof value === 'boolean' }
export const handler: Rule = { expected: 'a function', fits: (value) => typeof value === 'function' }
/** By what is used of it: signals of another realm or of a polyfill are no instances of AbortSignal here. */
export const signal: Rule = {
  expected: 'an AbortSignal',
  fits: (value) => isObject(value) && typeof value.aborted === 'boolean' && typeof value.throwIfAborted === 'function',
}
export const folder = text('a checkpoint folder, or org/name on the hub')

/** Checks that the first argument of a call is a folder's path. Errors: UserError. */
export function checkFolder(call: string, checkpoint: unknown): void {
  if (!folder.fits(checkpoint)) throw new UserError(`Cannot run ${call}: found ${shown(checkpoint)}, expected ${folder.expected}.`)
}

/**
 * Checks the options of a call before anything is done with them; one that is undefined counts as left out.
 * Errors: UserError that names the option, what was found and what is expected.
 */
export function checkOptions(call: string, options: unknown, rules: Rules): void {
  const names = Object.keys(rules)
  if (!isObject(options)) {
    const found = options === undefined ? 'no options' : shown(options)
    throw new UserError(`Cannot run ${call}: found ${found}, expected an object with ${names.join(', ')}.`)
  }
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (!rule) {
      const near = didYouMean(name, names)
      throw new UserError(`Cannot run ${call}: found the option ${shown(name)}, expected one of ${names.join(', ')}${near || '.'}`)
    }
    if (value !== undefined && !rule.fits(value))
      throw new UserError(`Cannot run ${call}: found ${shown(value)} for the option ${name}, expected ${rule.expected}.`)
  }
  const missing = names.find((name) => rules[name].required && options[name] === undefined)
  if (missing) throw new UserError(`Cannot run ${call}: found no option ${missing}, expected ${rules[missing].expected}.`)
}

/** Any object but an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** On one line, and short: values may be whole recipes. */
function shown(value: unknown): string {
  const whole = inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 3, maxStringLength: 60 })
  return whole.length > 100 ? `${whole.slice(0, 97)}...` : whole
}
