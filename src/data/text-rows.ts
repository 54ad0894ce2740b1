import { DataError } from '../util/errors.ts'
import { sampleIndices } from '../util/rng.ts'
import { cutRows } from './cut-rows.ts'
import type { DataItem } from './data-item.ts'
import { drawItems } from './draw-items.ts'
import type { RowMode } from './rows.ts'
import type { DataSource } from './source.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A text as the model is to see it. */
export interface Document {
  readonly text: string
  /** Whether a chat template has written it, with the special tokens that belong there. */
  readonly rendered: boolean
}

/** How documents become rows. */
export interface RowShape {
  readonly mode: RowMode
  /** Rows wanted. */
  readonly samples: number
  /** Tokens a row at most. */
  readonly length: number
  /** 0: in order. */
  readonly seed: number
  /** Whether every packed row begins as the tokenizer begins a text; else only the first. */
  readonly prefixed: boolean
  /** Documents to look at where each is a row of its own and they come in order. */
  readonly documents: number
}

/** Between two texts when they are packed. What a template has written ends by itself. */
const SEPARATOR = '\n\n'

/** An item as a text. Conversations without a template are their contents, which `conversationWarning` says. */
export function documentOf(item: DataItem, { renderChat }: Tokenizer): Document {
  if (item.kind === 'text') return { text: item.text, rendered: false }
  if (item.kind === 'chat') {
    if (renderChat) return { text: renderChat(item.messages, item.where), rendered: true }
    return { text: item.messages.map(({ content }) => content).join(SEPARATOR), rendered: false }
  }
  throw new DataError(`Cannot use ${item.where}: found token ids after texts, expected one kind`)
}

/**
 * Documents joined, tokenised as one text and cut. The incomplete tail is dropped; too little text gives one shorter row. Errors: DataError
 * where what the rows would be cut of is white space alone: its perplexity says nothing, nor does a calibration on it.
 */
export async function packedRows(source: DataSource, tokenizer: Tokenizer, shape: RowShape): Promise<Int32Array[]> {
  const { length, samples, seed, prefixed } = shape
  const needed = samples * length
  const rowsOf = (ids: readonly number[]): Int32Array[] => {
    const rows = cutRows(ids, length, prefixed ? tokenizer.prefix : [])
    if (rows.length > 0 || ids.length === 0) return rows
    return [Int32Array.from(prefixed ? withPrefix(ids, tokenizer.prefix) : ids)]
  }
  const documents = (items: AsyncIterable<DataItem>) => map(items, (item) => documentOf(item, tokenizer))
  if (seed === 0) {
    const pieces = source.pieces()
    const joined = pieces ? map(pieces, (text) => ({ text, rendered: false })) : separated(documents(source.items(0)))
    return rowsOf(await tokenise(joined, source.name, tokenizer, needed, !prefixed))
  }
  // Until there is enough: how much text a token stands for is known only then.
  for (let enough = needed * CHARACTERS_PER_TOKEN; ; enough *= 4) {
    const drawn = await drawItems(documents(source.items(seed)), ({ text }) => text.length, enough, seed, source.shuffles)
    const all = drawn.reduce((sum, { text }) => sum + text.length, 0) < enough
    const rows = rowsOf(await tokenise(separated(drawn), source.name, tokenizer, Number.POSITIVE_INFINITY, !prefixed))
    if (all || rows.length >= samples) return Array.from(sampleIndices(rows.length, samples, seed), (i) => rows[i])
  }
}

/** Each document a row of its own, cut to the length as transformers truncates: special tokens stay at both ends. */
export async function truncatedRows(
  source: DataSource,
  tokenizer: Tokenizer,
  shape: RowShape,
): Promise<{ rows: Int32Array[]; short: number }> {
  const { samples, length, seed, documents } = shape
  const rows: Int32Array[] = []
  let short = 0
  let seen = 0
  const sizeOf = (item: DataItem) => (givesRow(item, tokenizer, length) ? 1 : 0)
  const drawn = seed === 0 ? source.items(0) : await drawItems(source.items(seed), sizeOf, samples, seed, source.shuffles)
  for await (const item of drawn) {
    if (rows.length >= samples || seen++ >= documents) break
    const document = documentOf(item, tokenizer)
    const row = truncated(document, tokenizer, length)
    if (row.length < SHORTEST_ROW || document.text.trim() === '') short++
    else rows.push(row)
  }
  return { rows, short }
}

/** A row predicts something from this length on. */
const SHORTEST_ROW = 2

/** No vocabulary has longer tokens, so most documents need not be tokenised to know that they give a row. */
const LONGEST_TOKEN = 256

function givesRow(item: DataItem, tokenizer: Tokenizer, length: number): boolean {
  if (charactersOf(item) > LONGEST_TOKEN) return true
  return truncated(documentOf(item, tokenizer), tokenizer, length).length >= SHORTEST_ROW
}

function charactersOf(item: DataItem): number {
  if (item.kind === 'text') return item.text.length
  return item.kind === 'chat' ? item.messages.reduce((sum, { content }) => sum + content.length, 0) : 0
}

/** A document's tokens, as many as fit. */
function truncated({ text, rendered }: Document, tokenizer: Tokenizer, length: number): Int32Array {
  const { prefix, suffix } = rendered ? { prefix: [], suffix: [] } : tokenizer
  const ids = tokenizer.encodePlain(text)
  return Int32Array.from([...prefix, ...ids.slice(0, Math.max(0, length - prefix.length - suffix.length)), ...suffix])
}

function withPrefix(ids: readonly number[], prefix: readonly number[]): readonly number[] {
  return prefix.every((id, i) => ids[i] === id) ? ids : [...prefix, ...ids]
}

async function* map<A, B>(items: AsyncIterable<A>, change: (item: A) => B): AsyncGenerator<B> {
  for await (const item of items) yield change(item)
}

/** With what stands between texts. */
async function* separated(documents: AsyncIterable<Document> | Iterable<Document>): AsyncGenerator<Document> {
  let first = true
  for await (const document of documents) {
    yield first || document.rendered ? document : { ...document, text: SEPARATOR + document.text }
    first = false
  }
}

/** What follows may still change how the end of a prefix is cut into tokens: its last ones are not trusted. */
const UNSETTLED = 64
/** English has four to five characters a token: a first guess at how much text is enough. */
const CHARACTERS_PER_TOKEN = 6

/** At least the first `needed` ids of the whole text, from a prefix where that is enough; all ids when there are fewer. */
async function tokenise(
  pieces: AsyncIterable<Document>,
  name: string,
  tokenizer: Tokenizer,
  needed: number,
  specials: boolean,
): Promise<number[]> {
  const parts: string[] = []
  let characters = 0
  let rendered = false
  let enough = (needed + UNSETTLED) * CHARACTERS_PER_TOKEN
  const encode = () => {
    const text = parts.join('')
    if (text !== '' && text.trim() === '')
      throw new DataError(`Cannot make a row from ${name}: found nothing but white space, expected a text`)
    return specials && !rendered ? tokenizer.encode(text) : tokenizer.encodePlain(text)
  }
  for await (const piece of pieces) {
    parts.push(piece.text)
    rendered ||= piece.rendered
    characters += piece.text.length
    if (characters < enough) continue
    const ids = encode()
    if (ids.length - UNSETTLED >= needed) return ids.slice(0, ids.length - UNSETTLED)
    enough = 2 * characters
  }
  return encode()
}
