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

/** A finite number of config.json. Errors: CheckpointError naming the key. */
export function real(config: Config, key: string, fallback?: number): number {
  const value = config[key] ?? fallback
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw wrong(key, value, 'a number')
}

/** A boolean of config.json. Errors: CheckpointError naming the key. */
export function flag(config: Config, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback
  if (typeof value === 'boolean') return value
  throw wrong(key, value, 'true or false')
}

/** A string of config.json that must be one of `known`. Errors: CheckpointError naming the key and the known values. */
export function oneOf<T extends string>(config: Config, key: string, known: readonly T[], fallback?: T): T {
  const value = config[key] ?? fallback
  const found = known.find((name) => name === value)
  if (found !== undefined) return found
  throw wrong(key, value, known.map((name) => `"${name}"`).join(' or '))
}

/** An object of config.json, or null where it is missing or null. Errors: CheckpointError naming the key. */
export function section(config: Config, key: string): Config | null {
  const value = config[key] ?? null
  if (value === null) return null
  if (typeof value === 'object' && !Array.isArray(value)) return value as Config
  throw wrong(key, value, 'an object')
}
