import { CheckpointError } from '../util/errors.ts'
import { pythonPattern } from '../util/python-pattern.ts'
import { isJsonObject, type JsonObject } from './json-file.ts'

// Values of a `quantization_config` of GPTQ, AWQ or bitsandbytes by key; a key that is null says nothing, as in the programs that write it.

type Section = Readonly<JsonObject>

/** The error for a key whose value is not used, naming what was found and what was expected. */
export function unusable(key: string, found: unknown, expected: string): CheckpointError {
  const message = `Cannot read quantization_config of config.json: its ${key} is ${JSON.stringify(found)?.slice(0, 200)}, expected ${expected}.`
  return new CheckpointError(message, { file: 'config.json' })
}

/** Errors: CheckpointError for anything but true, false and null. */
export function flagIn(stored: Section, key: string, byDefault: boolean): boolean {
  const value = stored[key] ?? byDefault
  if (typeof value !== 'boolean') throw unusable(key, value, 'true or false')
  return value
}

/** A word in small letters. Errors: CheckpointError for anything but text and null. */
export function wordIn(stored: Section, key: string): string | undefined {
  const value = stored[key] ?? undefined
  if (value !== undefined && typeof value !== 'string') throw unusable(key, value, 'a word')
  return value?.toLowerCase()
}

/** Errors: CheckpointError for anything but a list of names and null. */
export function namesIn(stored: Section, key: string): readonly string[] {
  const value = stored[key] ?? []
  const isName = (name: unknown): name is string => typeof name === 'string' && name !== ''
  if (!Array.isArray(value) || !value.every(isName)) throw unusable(key, value, 'a list of names of modules')
  return value
}

/** Errors: CheckpointError for anything but an object and null. */
export function objectIn(stored: Section, key: string): Section {
  const value = stored[key] ?? {}
  if (!isJsonObject(value)) throw unusable(key, value, 'an object')
  return value
}

/** Errors: CheckpointError naming the first of some patterns that is no regular expression. */
export function requirePatterns(key: string, patterns: readonly string[]): void {
  for (const pattern of patterns) {
    try {
      pythonPattern(pattern)
    } catch {
      throw unusable(key, pattern, 'regular expressions, which loaders look for in the names of modules')
    }
  }
}
