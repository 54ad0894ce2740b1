import { inspect } from 'node:util'
import { requireDataset } from '../data/load-rows.ts'
import { ENGINES } from '../engine/engine.ts'
import { MOST_THREADS } from '../kernels/open.ts'
import { UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'

/** What one option may be. */
interface Rule {
  readonly expected: string
  fits(value: unknown): boolean
  readonly required?: boolean
}

type Rules = Readonly<Record<string, Rule>>

const text = (what: string): Rule => ({ expected: what, fits: (value) => typeof value === 'string' && value.trim() !== '' })
const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Rule => ({
  expected: most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`,
  fits: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
})
const flag: Rule = { expected: 'true or false', fits: (value) => typeof value === 'boolean' }
const handler: Rule = { expected: 'a function', fits: (value) => typeof value === 'function' }
const engine: Rule = {
  expected: ['auto', ...ENGINES].map((name) => JSON.stringify(name)).join(', '),
  fits: (value) => typeof value === 'string' && ['auto', ...ENGINES].includes(value),
}
/** By what is used of it: signals of another realm or of a polyfill are no instances of AbortSignal here. */
const signal: Rule = {
  expected: 'an AbortSignal',
  fits: (value) => isObject(value) && typeof value.aborted === 'boolean' && typeof value.throwIfAborted === 'function',
}
/** requireDataset says more about what is wrong. */
const dataset: Rule = {
  expected: 'a name, a file, texts or token rows',
  fits(value) {
    requireDataset(value)
    return true
  },
}
const folder = text('the path of a checkpoint folder')
const threads = whole(1, MOST_THREADS)

/** The options of `oneshot`; `planRun` takes the same ones, and has no use for some. */
const ONESHOT: Rules = {
  model: { ...folder, required: true },
  recipe: {
    expected: 'a file, a name, YAML text or an object',
    fits: (value) => (typeof value === 'string' ? value.trim() !== '' : typeof value === 'object' && value !== null),
    required: true,
  },
  output: text('the path of the folder to write'),
  overwrite: flag,
  strict: flag,
  modifiers: {
    expected: 'a list of modifiers, packages or paths',
    fits: (value) => Array.isArray(value) && value.every((item) => isObject(item) || (typeof item === 'string' && item.trim() !== '')),
  },
  dataset,
  numCalibrationSamples: whole(1),
  maxSeqLength: whole(2),
  seed: whole(0, 2 ** 32 - 1),
  engine,
  threads,
  signal,
  onProgress: handler,
}

const VERIFY: Rules = { against: folder, signal }

const PERPLEXITY: Rules = {
  dataset: { ...dataset, required: true },
  window: whole(2),
  windows: whole(1),
  engine,
  threads,
  signal,
  onLayer: handler,
}

/** Checks the options of `oneshot` or `planRun` before anything is done with them. Errors: UserError that names the option. */
export function checkOptions(options: unknown, call = 'oneshot'): void {
  check(call, options, ONESHOT)
}

/** Checks the arguments of `verify`. Errors: UserError that names the argument or option. */
export function checkVerify(checkpoint: unknown, options: unknown): void {
  checkFolder('verify', checkpoint)
  check('verify', options, VERIFY)
}

/** Checks the argument of `inspect`. Errors: UserError. */
export function checkInspect(checkpoint: unknown): void {
  checkFolder('inspect', checkpoint)
}

/** Checks the arguments of `perplexity`. Errors: UserError that names the argument or option. */
export function checkPerplexity(checkpoint: unknown, options: unknown): void {
  checkFolder('perplexity', checkpoint)
  check('perplexity', options, PERPLEXITY)
}

function checkFolder(call: string, checkpoint: unknown): void {
  if (!folder.fits(checkpoint)) throw new UserError(`Cannot run ${call}: found ${shown(checkpoint)}, expected ${folder.expected}.`)
}

/** An option that is undefined counts as left out. */
function check(call: string, options: unknown, rules: Rules): void {
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** On one line, and short: values may be whole recipes. */
function shown(value: unknown): string {
  const whole = inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 3, maxStringLength: 60 })
  return whole.length > 100 ? `${whole.slice(0, 97)}...` : whole
}
