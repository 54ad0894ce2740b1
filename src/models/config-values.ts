import { CheckpointError } from '../util/errors.ts'

export type Config = Readonly<Record<string, unknown>>

function wrong(key: string, value: unknown, expected: string): CheckpointError {
  const found = value === undefined ? 'no such key' : JSON.stringify(value)
  return new CheckpointError(`Cannot read the model's config.json: ${key} is ${found}, expected ${expected}.`, { file: 'config.json' })
}

/** A positive integer of config.json, or `fallback` where the key is missing or null. Errors: CheckpointError naming the key. */
export function count(config: Config, key: string, fallback?: number): number {
  const value = config[key] ?? fallback
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw wrong(key, value, 'a positive integer')
}

/** A finite number above zero of config.json. Errors: CheckpointError naming the key. */
export function positive(config: Config, key: string, fallback?: number): number {
  const value = config[key] ?? fallback
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw wrong(key, value, 'a number above zero')
}

/** A finite number above zero of config.json, or null where the key is missing or null. Errors: CheckpointError naming the key. */
export function optional(config: Config, key: string): number | null {
  return (config[key] ?? null) === null ? null : positive(config, key)
}

/** A list of numbers of config.json, empty where the key is missing or null. Errors: CheckpointError naming the key. */
export function numberList(config: Config, key: string): number[] {
  const value = config[key] ?? []
  if (Array.isArray(value) && value.every((item) => typeof item === 'number')) return value
  throw wrong(key, value, 'a list of numbers')
}

/** A whole number of config.json, from zero on. Errors: CheckpointError naming the key. */
export function wholeNumber(config: Config, key: string): number {
  const value = config[key]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw wrong(key, value, 'a whole number')
}

/** A boolean of config.json, or `fallback` where the key is missing or null. Errors: CheckpointError naming the key. */
export function flag(config: Config, key: string, fallback?: boolean): boolean {
  const value = config[key] ?? fallback
  if (typeof value === 'boolean') return value
  throw wrong(key, value, 'true or false')
}

/**
 * A string of config.json that must be one of `known`; null is not a missing key here, since loaders refuse it. Errors: CheckpointError
 * naming the key and the known values.
 */
export function oneOf<T extends string>(config: Config, key: string, known: readonly T[], fallback?: T): T {
  const value = config[key] === undefined ? fallback : config[key]
  const found = known.find((name) => name === value)
  if (found !== undefined) return found
  throw wrong(key, value, known.map((name) => `"${name}"`).join(' or '))
}

/**
 * Requires that a key of config.json is missing, null or `value`: what it would switch on is not computed here. Errors: CheckpointError naming
 * the key.
 */
export function mustBe(config: Config, key: string, value: boolean | number): void {
  const found = config[key] ?? value
  if (found !== value) throw wrong(key, found, `${value}: nothing else is computed`)
}

/** An object of config.json, or null where it is missing or null. Errors: CheckpointError naming the key. */
export function section(config: Config, key: string): Config | null {
  const value = config[key] ?? null
  if (value === null) return null
  if (typeof value === 'object' && !Array.isArray(value)) return value as Config
  throw wrong(key, value, 'an object')
}

/** Sizes of grouped-query attention: `kvHeads` divides `heads`, and `headDim` is even, as rotary positions need. */
export interface HeadSizes {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
}

/**
 * num_attention_heads, num_key_value_heads (as many where it is missing) and head_dim (where it is missing, the hidden size over the
 * heads). Errors: CheckpointError naming the keys whose values do not fit together.
 */
export function headSizes(config: Config): HeadSizes {
  const heads = count(config, 'num_attention_heads')
  const kvHeads = count(config, 'num_key_value_heads', heads)
  if (heads % kvHeads !== 0) {
    throw misfit(`num_attention_heads is ${heads} and num_key_value_heads is ${kvHeads}, expected the first to be a multiple of the second`)
  }
  const given = config.head_dim !== undefined && config.head_dim !== null
  const hidden = given ? 0 : count(config, 'hidden_size')
  const found = given ? '' : `hidden_size is ${hidden} and num_attention_heads is ${heads} (and there is no head_dim)`
  if (hidden % heads !== 0) throw misfit(`${found}, expected the first to be a multiple of the second`)
  const headDim = count(config, 'head_dim', hidden / heads)
  if (headDim % 2 !== 0) {
    throw misfit(
      `${given ? `head_dim is ${headDim}` : `${found}, ${headDim} per head`}, expected an even number: rotary positions turn pairs`,
    )
  }
  return { heads, kvHeads, headDim }
}

function misfit(problem: string): CheckpointError {
  return new CheckpointError(`Cannot read the model's config.json: ${problem}.`, { file: 'config.json' })
}
