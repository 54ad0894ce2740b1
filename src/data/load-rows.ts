import { extname } from 'node:path'
import type { Rule } from '../util/check-options.ts'
import { DataError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { sampleIndices } from '../util/rng.ts'
import { BUILT_IN_DATASETS, builtInFile, type Split } from './built-in.ts'
import { cutRows } from './cut-rows.ts'
import { type Content, FILE_KINDS, joinPieces, kindOf, readDataFile } from './read-file.ts'
import type { Dataset, Rows } from './rows.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface RowsRequest {
  dataset: Dataset
  /** Asked for only when the data is text. */
  tokenizer: () => Promise<Tokenizer>
  /** Rows wanted. */
  samples: number
  /** Tokens a row. */
  length: number
  /** 0: the first rows in order. Any other: rows drawn at random from the whole data, the same ones every time. */
  seed: number
  /** The model's vocabulary: every id is below it. */
  vocab: number
  /** Fewer rows than `samples` are an error instead of a warning. */
  exact?: boolean
  /** The key of the text in objects; `text` by default. */
  column?: string
  /** Which part of a built-in text; `calibration` by default. */
  split?: Split
}

/**
 * Token rows from a built-in text, a file, texts or token rows. Texts are joined by blank lines, tokenised as one and cut in order into
 * rows of `length`, the incomplete tail dropped; too short a text gives one shorter row. Token rows longer than `length` are cut to it.
 * What is out of the ordinary stands in `warnings`. DataError when there is nothing to make a row of or an id is outside the vocabulary.
 */
export async function loadRows(request: RowsRequest): Promise<Rows> {
  requireSize('samples', request.samples, 1)
  requireSize('length', request.length, 2)
  requireDataset(request.dataset)
  const source = describe(request.dataset)
  const content = await open(request)
  const warnings: string[] = []
  const all =
    content.kind === 'text' ? await textRows(request, content.pieces, source, warnings) : tokenRows(request, content.rows, source, warnings)
  const rows = choose(all, request)
  if (rows.length < request.samples) {
    const found = `found ${rows.length} of the ${request.samples} rows of ${request.length} tokens asked for in ${source}`
    if (request.exact) throw new DataError(`Cannot load the data: ${found}. Ask for fewer or shorter rows, or give more text`)
    warnings.push(found)
  }
  for (const row of rows) requireIds(row, request.vocab, source)
  return { rows, source, warnings }
}

function requireSize(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new DataError(`Cannot load rows with ${name} ${value}: expected a whole number of at least ${least}`)
}

/** Whether `dataset` is a name or path, or a list; what is in a list is checked as it is read. Errors: DataError. */
function requireDataset(dataset: unknown): asserts dataset is Dataset {
  if (Array.isArray(dataset) || (typeof dataset === 'string' && dataset.trim() !== '')) return
  const what = typeof dataset === 'object' && dataset !== null ? 'an object that is no array' : JSON.stringify(dataset)
  const hint = isIterable(dataset) ? ': put what it gives into an array, [...dataset]' : ''
  throw new DataError(`Cannot use the dataset: found ${what}, expected a built-in name, a file, an array of texts or of token rows${hint}`)
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
}

function describe(dataset: Dataset): string {
  if (typeof dataset === 'string') return BUILT_IN_DATASETS.includes(dataset) ? `${dataset} (built in)` : dataset
  const what = typeof dataset[0] === 'string' ? 'text' : 'token row'
  return `${dataset.length} ${what}${dataset.length === 1 ? '' : 's'}`
}

async function open({ dataset, column = 'text', split = 'calibration' }: RowsRequest): Promise<Content> {
  if (typeof dataset === 'string') return readDataFile(fileOf(dataset, split), column)
  if (dataset.length === 0) throw new DataError('Cannot load the data: found an empty list, expected texts or token rows')
  if (typeof dataset[0] !== 'string') return { kind: 'tokens', rows: [...dataset] }
  const other = dataset.findIndex((item) => typeof item !== 'string')
  if (other >= 0) throw new DataError(`Cannot load the data: item ${other} is no text although item 0 is, expected one kind`)
  return { kind: 'text', pieces: joinPieces(dataset as readonly string[]) }
}

/** A name without ending and folder is meant as a built-in one. */
function fileOf(dataset: string, split: Split): string {
  const builtIn = builtInFile(dataset, split)
  if (builtIn !== null) return builtIn
  if (extname(dataset) !== '' || /[/\\]/.test(dataset)) return dataset
  const known = `the built-in ${BUILT_IN_DATASETS.join(', ')} or a ${FILE_KINDS} file`
  throw new DataError(`Cannot find the dataset "${dataset}"${didYouMean(dataset, BUILT_IN_DATASETS) || ':'} expected ${known}`)
}

async function textRows(request: RowsRequest, pieces: AsyncIterable<string>, source: string, warnings: string[]): Promise<Int32Array[]> {
  const { length, samples, seed } = request
  const tokenizer = await request.tokenizer()
  const ids = await tokenise(pieces, tokenizer, seed === 0 ? samples * length : Number.POSITIVE_INFINITY)
  if (ids.length >= length) return cutRows(ids, length)
  if (ids.length < 2) throw new DataError(`Cannot make a row from ${source}: found ${ids.length} tokens, expected at least 2`)
  warnings.push(`${source} has ${ids.length} tokens, fewer than one row of ${length}: one shorter row is used`)
  return [Int32Array.from(ids)]
}

/** What follows may still change how the end of a prefix is cut into tokens: its last ones are not trusted. */
const UNSETTLED = 64
/** English has four to five characters a token: a first guess at how much text is enough. */
const CHARACTERS_PER_TOKEN = 6

/** At least the first `needed` ids of the whole text, from a prefix where that is enough; all ids when there are fewer. */
async function tokenise(pieces: AsyncIterable<string>, tokenizer: Tokenizer, needed: number): Promise<number[]> {
  const parts: string[] = []
  let characters = 0
  let enough = (needed + UNSETTLED) * CHARACTERS_PER_TOKEN
  for await (const piece of pieces) {
    parts.push(piece)
    characters += piece.length
    if (characters < enough) continue
    const ids = tokenizer.encode(parts.join(''))
    if (ids.length - UNSETTLED >= needed) return ids.slice(0, ids.length - UNSETTLED)
    enough = 2 * characters
  }
  return tokenizer.encode(parts.join(''))
}

function tokenRows({ length }: RowsRequest, rows: unknown[], source: string, warnings: string[]): Int32Array[] {
  let cut = 0
  const out = rows.map((row, i) => {
    if (!(row instanceof Int32Array) && !Array.isArray(row))
      throw new DataError(`Cannot use row ${i} of ${source}: found ${kindOf(row)}, expected an array of token ids`)
    requireWholeNumbers(row, i, source)
    if (row.length < 2) throw new DataError(`Cannot use row ${i} of ${source}: found ${row.length} tokens, expected at least 2`)
    if (row.length > length) cut++
    return Int32Array.from(row.slice(0, length))
  })
  if (cut > 0) warnings.push(`cut to ${length} tokens what is longer in ${source}: ${cut} of ${rows.length} rows`)
  return out
}

/** By index, because `every` and its like pass over the holes of an array, which would become zeros. */
function requireWholeNumbers(row: ArrayLike<unknown>, index: number, source: string): asserts row is ArrayLike<number> {
  if (row instanceof Int32Array) return
  for (let at = 0; at < row.length; at++) {
    const id = row[at]
    if (Number.isInteger(id) && Math.abs(Number(id)) < 2 ** 31) continue
    const found = typeof id === 'number' ? `${id}` : kindOf(id)
    throw new DataError(`Cannot use row ${index} of ${source}: found ${found} at position ${at}, expected token ids (whole numbers)`)
  }
}

function choose(rows: Int32Array[], { samples, seed }: RowsRequest): Int32Array[] {
  if (seed === 0) return rows.slice(0, samples)
  return Array.from(sampleIndices(rows.length, samples, seed), (i) => rows[i])
}

function requireIds(row: Int32Array, vocab: number, source: string): void {
  for (const id of row) {
    if (id >= 0 && id < vocab) continue
    throw new DataError(`Cannot use ${source}: found token id ${id}, expected 0 to ${vocab - 1}. Do tokenizer and model belong together?`)
  }
}

/** What a `dataset` option may be; requireDataset says more about what is wrong. */
export const datasetRule: Rule = {
  expected: 'a name, a file, texts or token rows',
  fits(value) {
    requireDataset(value)
    return true
  },
}
