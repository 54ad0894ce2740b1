import { open } from 'node:fs/promises'
import { CheckpointError } from '../util/errors.ts'

/** A JSON object as parsed. */
export type JsonObject = Record<string, unknown>

const MEGABYTE = 2 ** 20
/** Two million index lines of 50 bytes; config.json is a few kB. */
const MAX_BYTES = 100 * MEGABYTE
/** Deeper than any config; a file of nothing but `[` would take thirty times its size in memory. */
const MAX_DEPTH = 64

/** Whether a value is an object with keys, not null and not a list. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads a JSON file of a checkpoint that must hold an object. Errors: CheckpointError when it is missing, unreadable, larger than 100 MB,
 * nested deeper than 64, not JSON or not an object.
 */
export async function readJsonFile(path: string): Promise<JsonObject> {
  const bytes = await readLimited(path)
  const depth = deepest(bytes)
  if (depth > MAX_DEPTH) throw unreadable(path, `it nests ${depth} deep, expected at most ${MAX_DEPTH}`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw unreadable(path, `${cause instanceof Error ? cause.message : cause}, expected JSON`, cause)
  }
  if (!isJsonObject(value))
    throw unreadable(path, `found ${Array.isArray(value) ? 'a list' : JSON.stringify(value)?.slice(0, 80)}, expected an object`)
  return value
}

async function readLimited(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      if (size > MAX_BYTES) throw unreadable(path, `it has ${size} bytes, expected at most ${MAX_BYTES}`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw unreadable(path, code === 'ENOENT' ? 'there is no such file' : message, cause)
  }
}

function deepest(bytes: Uint8Array): number {
  let depth = 0
  let most = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (inString) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x5b || byte === 0x7b) most = Math.max(most, ++depth)
    else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return most
}

function unreadable(path: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError(`Cannot read ${path}: ${problem}.`, { file: path }, { cause })
}
