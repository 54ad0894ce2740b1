import { createReadStream, existsSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { TextDecoder } from 'node:util'
import { DataError } from '../util/errors.ts'

/** Between two texts when they are joined into one before tokenising. */
const SEPARATOR = '\n\n'

export const FILE_KINDS = '.txt, .jsonl or .json'

/** What a file of data holds: one long text that arrives in pieces, or rows of token ids. */
export type Content = { kind: 'text'; pieces: AsyncIterable<string> } | { kind: 'tokens'; rows: unknown[] }

/**
 * A .txt file as it is; the texts of a .jsonl file (an object or a string a line) or of a .json array, joined by blank lines. Objects hold
 * their text under `column`. A .json array of arrays is rows of token ids. Text is read as it is asked for, so a prefix of a large file
 * costs what the prefix does. DataError: not a file, another kind, and (while reading) bytes that are no UTF-8 text, a damaged line with
 * its number or a missing column.
 */
export async function readDataFile(file: string, column: string): Promise<Content> {
  requireFile(file)
  const kind = extname(file).toLowerCase()
  if (kind === '.txt') return { kind: 'text', pieces: textPieces(file) }
  if (kind === '.jsonl') return { kind: 'text', pieces: joinPieces(jsonLines(file, column)) }
  if (kind !== '.json') throw new DataError(`Cannot read data from ${file}: found the ending "${kind}", expected ${FILE_KINDS}`)
  const items = parseArray(file, await wholeText(file))
  if (items.length > 0 && Array.isArray(items[0])) return { kind: 'tokens', rows: items }
  return { kind: 'text', pieces: joinPieces(items.map((item, i) => textOf(item, column, `${file}, item ${i + 1}`))) }
}

/** Texts as pieces of the joined text. */
export async function* joinPieces(texts: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let first = true
  for await (const text of texts) {
    yield first ? text : SEPARATOR + text
    first = false
  }
}

function requireFile(file: string): void {
  if (!existsSync(file)) throw new DataError(`Cannot read data from ${file}: there is no such file`)
  const stat = statSync(file)
  const found = stat.isDirectory() ? 'found a folder' : 'it is not a regular file'
  if (!stat.isFile()) throw new DataError(`Cannot read data from ${file}: ${found}, expected a ${FILE_KINDS} file`)
  if (stat.size === 0) throw new DataError(`Cannot read data from ${file}: it is empty`)
}

/** Decodes strictly: U+FFFD in place of what is no text would be calibrated on like any other character. Drops a byte order mark. */
async function* textPieces(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) yield decode(file, decoder, chunk)
  yield decode(file, decoder)
}

/** The next characters of a file; without `chunk` those that are left. */
function decode(file: string, decoder: TextDecoder, chunk?: Uint8Array): string {
  const expected = 'expected text in UTF-8'
  let text: string
  try {
    text = decoder.decode(chunk, { stream: chunk !== undefined })
  } catch {
    throw new DataError(
      `Cannot read data from ${file}: found bytes that are not UTF-8, ${expected}. Is it a binary file, or in another encoding?`,
    )
  }
  if (text.includes('\0')) throw new DataError(`Cannot read data from ${file}: found a NUL character, ${expected}. Is it a binary file?`)
  return text
}

async function wholeText(file: string): Promise<string> {
  const pieces: string[] = []
  for await (const piece of textPieces(file)) pieces.push(piece)
  return pieces.join('')
}

/** The lines of a file, without `\n`. */
async function* textLines(file: string): AsyncGenerator<string> {
  let rest = ''
  for await (const piece of textPieces(file)) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  yield rest
}

async function* jsonLines(file: string, column: string): AsyncGenerator<string> {
  let line = 0
  for await (const json of textLines(file)) {
    line++
    if (json.trim() === '') continue
    yield textOf(parseLine(json, `${file}:${line}`), column, `${file}:${line}`)
  }
}

function parseLine(json: string, where: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new DataError(`Cannot read data from ${where}: ${(error as Error).message}, expected one JSON value a line`)
  }
}

function parseArray(file: string, json: string): unknown[] {
  const value = parseLine(json, file)
  if (!Array.isArray(value))
    throw new DataError(`Cannot read data from ${file}: found ${kindOf(value)}, expected an array of texts or of token rows`)
  return value
}

function textOf(value: unknown, column: string, where: string): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`Cannot read data from ${where}: found ${kindOf(value)}, expected a string or an object with "${column}"`)
  }
  const text: unknown = Object.hasOwn(value, column) ? (value as Record<string, unknown>)[column] : undefined
  if (typeof text === 'string') return text
  const has = Object.keys(value).slice(0, 8).join(', ') || 'no keys'
  const found = text === undefined ? `found ${has}` : `"${column}" holds ${kindOf(text)}`
  throw new DataError(`Cannot read data from ${where}: ${found}, expected a text under "${column}". Name the right column`)
}

/** A value's kind for messages: `a string`, `an array`, `null`, `nothing`. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  return Array.isArray(value) ? 'an array' : `${/^[aeiou]/.test(typeof value) ? 'an' : 'a'} ${typeof value}`
}
