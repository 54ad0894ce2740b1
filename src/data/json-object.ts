import { readFile } from 'node:fs/promises'
import { DataError } from '../util/errors.ts'
import { kindOf } from './kind-of.ts'

export type JsonObject = Record<string, unknown>

/** The JSON object in a file. Errors: DataError for what is none. */
export async function readJsonObject(file: string): Promise<JsonObject> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new DataError(`Cannot read ${file}: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DataError(`Cannot read ${file}: found ${kindOf(value)}, expected a JSON object`)
  return value as JsonObject
}
