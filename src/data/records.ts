import { Readable } from 'node:stream'
import { match } from 'ts-pattern'
import { DataError } from '../util/errors.ts'
import type { DataFile } from './data-file.ts'
import type { DataRecord, RecordOptions } from './data-record.ts'
import { textLines, textPieces, wholeText } from './file-text.ts'
import { kindOf } from './kind-of.ts'

/**
 * The items of a .jsonl, .json, .csv, .tsv or .parquet file, read as they are asked for, so that the first ones of a large file cost what
 * they cost; a .json array is read whole. Errors: DataError for a damaged line or table, with its number, and as `textPieces`.
 */
export function readRecords(file: DataFile, options: RecordOptions): AsyncGenerator<DataRecord> {
  return match(file.form)
    .with('jsonl', () => jsonLines(file))
    .with('json', () => jsonItems(file))
    .with('csv', () => table(file, ','))
    .with('tsv', () => table(file, '\t'))
    .with('parquet', () => parquetItems(file, options))
    .with('text', () => wholeFile(file))
    .exhaustive()
}

/** Loaded where it is needed: with its decompressors it is a tenth of what a command takes to start. */
const parquet = () => import('./parquet.ts')

async function* parquetItems(file: DataFile, options: RecordOptions): AsyncGenerator<DataRecord> {
  yield* (await parquet()).parquetRecords(file, options)
}

/** The number of a file's items. All but .parquet is read for it. Errors: as `readRecords`. */
export async function countRecords(file: DataFile): Promise<number> {
  if (file.form === 'parquet') return (await parquet()).parquetLength(file)
  let count = 0
  for await (const _ of readRecords(file, { columns: () => null, seed: 0 })) count++
  return count
}

async function* wholeFile(file: DataFile): AsyncGenerator<DataRecord> {
  yield { value: await wholeText(file), where: file.path }
}

async function* jsonLines(file: DataFile): AsyncGenerator<DataRecord> {
  let line = 0
  for await (const json of textLines(file)) {
    line++
    if (json.trim() === '') continue
    const where = `${file.path}:${line}`
    yield { value: parseJson(json, where, 'one JSON value a line'), where }
  }
}

/** An array; or, as many data sets have it under this ending, an object a line. */
async function* jsonItems(file: DataFile): AsyncGenerator<DataRecord> {
  if (await startsWithBrace(file)) return yield* jsonLines(file)
  const expected = 'an array of texts, of objects or of token rows'
  const value = parseJson(await wholeText(file), file.path, expected)
  if (!Array.isArray(value)) throw new DataError(`Cannot read data from ${file.path}: found ${kindOf(value)}, expected ${expected}`)
  for (const [i, item] of value.entries()) yield { value: item, where: `${file.path}, item ${i + 1}` }
}

async function startsWithBrace(file: DataFile): Promise<boolean> {
  for await (const piece of textPieces(file)) {
    const start = piece.trimStart()
    if (start !== '') return start.startsWith('{')
  }
  return false
}

function parseJson(json: string, where: string, expected: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new DataError(`Cannot read data from ${where}: ${(error as Error).message}, expected ${expected}`)
  }
}

/** RFC 4180 with a line of names first. */
async function* table(file: DataFile, delimiter: string): AsyncGenerator<DataRecord> {
  const { parse } = await import('csv-parse')
  const parser = parse({ columns: true, delimiter, info: true, skip_empty_lines: true })
  const source = Readable.from(textPieces(file), { objectMode: true })
  // An error of the source would not reach the parser through a pipe.
  source.on('error', (error) => parser.destroy(error)).pipe(parser)
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: object; info: { lines: number } }>)
      yield { value: record, where: `${file.path}:${info.lines}` }
  } catch (error) {
    if (error instanceof DataError) throw error
    throw new DataError(
      `Cannot read data from ${file.path}: ${(error as Error).message}, expected a table with a line of column names first`,
    )
  } finally {
    source.destroy()
    parser.destroy()
  }
}
