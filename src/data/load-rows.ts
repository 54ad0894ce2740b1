import type { Rule } from '../util/check-options.ts'
import { DataError } from '../util/errors.ts'
import { sampleIndices } from '../util/rng.ts'
import type { DataItem } from './data-item.ts'
import { ROW_MODES, type RowMode, type Rows } from './rows.ts'
import { type DataSource, openSource, requireDataset, type SourceRequest } from './source.ts'
import { packedRows, type RowShape, truncatedRows } from './text-rows.ts'
import { tokenRow } from './token-rows.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface RowsRequest extends SourceRequest {
  /** Asked for only when the data is text. */
  tokenizer: () => Promise<Tokenizer>
  /** Rows wanted. */
  samples: number
  /** Tokens a row. */
  length: number
  /** 0: the first rows in order. Any other: rows drawn at random from the whole data, the same ones every time. */
  seed: number
  /** Of documents that become a row each, only so many are looked at, those that are too short among them. All by default. */
  documents?: number
  /** The model's vocabulary: every id is below it. */
  vocab: number
  /** The model's positions; token rows that are longer are refused. Any length by default. */
  context?: number
  /** Fewer rows than `samples` are an error instead of a warning. */
  exact?: boolean
  /** `pack` joins documents and cuts them, `truncate` makes each a row of its own; by default as the data asks for. */
  rows?: RowMode
}

/**
 * Token rows from a named set, a file, texts, conversations or token rows. Packed texts are joined by blank lines, tokenised as one and cut
 * in order into rows of `length`, each beginning as the tokenizer begins a text, the incomplete tail dropped; too short a text gives one
 * shorter row. Truncated, each document is a row of its own. Rows of different lengths stay so: nothing is padded, so no padding can enter
 * a statistic. Token rows longer than `length` are cut to it. What is out of the ordinary stands in `warnings`. DataError when there is
 * nothing to make a row of or an id is outside the vocabulary.
 */
export async function loadRows(request: RowsRequest): Promise<Rows> {
  requireSize('samples', request.samples, 1)
  requireSize('length', request.length, 2)
  const source = await openSource(request)
  const warnings = [...source.warnings]
  const first = source.pieces() ? null : await firstItem(source)
  const rows = first?.kind === 'tokens' ? await tokenRows(request, source, warnings) : await textRows(request, source, first, warnings)
  if (rows.length < request.samples) {
    const found = `found ${rows.length} of the ${request.samples} rows of ${request.length} tokens asked for in ${source.name}`
    if (request.exact) throw new DataError(`Cannot load the data: ${found}. Ask for fewer or shorter rows, or give more text`)
    warnings.push(found)
  }
  for (const row of rows) requireIds(row, request.vocab, source.name)
  return { rows, source: source.name, warnings }
}

function requireSize(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new DataError(`Cannot load rows with ${name} ${value}: expected a whole number of at least ${least}`)
}

async function firstItem(source: DataSource): Promise<DataItem> {
  for await (const item of source.items(0)) return item
  throw new DataError(`Cannot load the data: found no rows in ${source.name}, expected at least one`)
}

/** How rows of texts or conversations are made where nothing is said. */
function rowMode({ rows }: DataSource, first: DataItem | null): RowMode {
  return rows ?? (first?.kind === 'chat' ? 'truncate' : 'pack')
}

async function textRows(request: RowsRequest, source: DataSource, first: DataItem | null, warnings: string[]): Promise<Int32Array[]> {
  const { length, samples, seed, purpose = 'calibration' } = request
  const tokenizer = await request.tokenizer()
  if (tokenizer.prefix.length + tokenizer.suffix.length >= length)
    throw new DataError(`Cannot load rows of ${length} tokens: the tokenizer's special tokens fill them, expected longer rows`)
  if (first?.kind === 'chat' && !tokenizer.renderChat)
    warnings.push(`the model has no chat template: the messages of ${source.name} are joined by blank lines, without roles`)
  // Published perplexities are of a text that begins once.
  const shape: RowShape = {
    mode: request.rows ?? rowMode(source, first),
    samples,
    length,
    seed,
    prefixed: purpose === 'calibration',
    documents: request.documents ?? Number.POSITIVE_INFINITY,
  }
  if (shape.mode === 'truncate') {
    const { rows, short } = await truncatedRows(source, tokenizer, shape)
    if (rows.length === 0)
      throw new DataError(`Cannot make a row from ${source.name}: found no document of 2 tokens, expected one at least`)
    if (short > 0) warnings.push(`${short} of the documents of ${source.name} are shorter than 2 tokens and left out`)
    return rows
  }
  const rows = (await packedRows(source, tokenizer, shape)).slice(0, samples)
  const [{ length: longest } = { length: 0 }] = rows
  if (longest < 2) throw new DataError(`Cannot make a row from ${source.name}: found ${longest} tokens, expected at least 2`)
  if (longest < length) warnings.push(`${source.name} has ${longest} tokens, fewer than one row of ${length}: one shorter row is used`)
  return rows
}

async function tokenRows(request: RowsRequest, source: DataSource, warnings: string[]): Promise<Int32Array[]> {
  const { length, samples, seed, context = Number.POSITIVE_INFINITY } = request
  let cuts = 0
  const all: Int32Array[] = []
  for await (const item of source.items(0)) {
    const { row, cut } = tokenRow(item, { length, context })
    if (cut) cuts++
    all.push(row)
  }
  if (cuts > 0) warnings.push(`cut to ${length} tokens what is longer in ${source.name}: ${cuts} of ${all.length} rows`)
  if (seed === 0) return all.slice(0, samples)
  return Array.from(sampleIndices(all.length, samples, seed), (i) => all[i])
}

function requireIds(row: Int32Array, vocab: number, source: string): void {
  for (const id of row) {
    if (id >= 0 && id < vocab) continue
    throw new DataError(`Cannot use ${source}: found token id ${id}, expected 0 to ${vocab - 1}. Do tokenizer and model belong together?`)
  }
}

/** What a `rows` option may be. */
export const rowModeRule: Rule = {
  expected: ROW_MODES.join(' or '),
  fits: (value) => ROW_MODES.some((mode) => mode === value),
}

/** What a `dataset` option may be; requireDataset says more about what is wrong. */
export const datasetRule: Rule = {
  expected: 'a name, a file, texts, conversations or token rows',
  fits(value) {
    requireDataset(value)
    return true
  },
}
