import { DataError } from '../util/errors.ts'
import { type ChatMessage, chatMessages } from './chat.ts'
import type { DataRecord } from './data-record.ts'
import { kindOf } from './kind-of.ts'

/** One item of calibration data: a text, a conversation or a row of token ids (not checked yet). */
export type DataItem = { readonly where: string } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'tokens'; readonly ids: ArrayLike<unknown> }
)

/** How a set keeps its items: the columns that are read, and what is made of a row. */
export interface ItemForm {
  /** Those of the columns there are that are needed. Errors: DataError for one that is missing. */
  columns(there: readonly string[]): readonly string[] | null
  item(record: DataRecord): DataItem
}

/** Keys that hold an item where none is named, the first that is there. */
const USUAL_COLUMNS = ['text', 'messages', 'conversations', 'input_ids'] as const

/** Beside token ids: 0 where a row is only filled up. */
const MASK = 'attention_mask'

/**
 * The form of data without a template: a text, messages or token ids, alone or under a key. `column`: the key; null for the usual. `blanks`:
 * blank texts are part of the data, as between the paragraphs of wikitext; else they are an error.
 */
export function plainForm(column: string | null, blanks = false): ItemForm {
  return {
    columns(there) {
      const found = (column === null ? USUAL_COLUMNS : [column]).find((name) => there.includes(name))
      if (found === undefined) return null
      return there.includes(MASK) && found !== MASK ? [found, MASK] : [found]
    },
    item: ({ value, where }) => itemOf(value, where, blanks) ?? keyedItem(value, column, where, blanks),
  }
}

function keyedItem(value: unknown, column: string | null, where: string, blanks: boolean): DataItem {
  const keys = column === null ? USUAL_COLUMNS : [column]
  const expected = column === null ? `"text" (or ${USUAL_COLUMNS.slice(1).join(', ')})` : `"${column}"`
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DataError(`Cannot read data from ${where}: found ${kindOf(value)}, expected a string or an object with ${expected}`)
  const row = value as Record<string, unknown>
  const key = keys.find((name) => Object.hasOwn(row, name))
  if (key === undefined) {
    const has = Object.keys(row).slice(0, 8).join(', ') || 'no keys'
    throw new DataError(
      `Cannot read data from ${where}: found ${has}, expected a text under ${expected}. Name the right column (--text-column)`,
    )
  }
  const item = itemOf(row[key], where, blanks, key)
  if (item?.kind === 'tokens' && (row[MASK] ?? null) !== null) return { ...item, ids: unmasked(item.ids, row[MASK], where) }
  if (item) return item
  throw new DataError(
    `Cannot read data from ${where}: "${key}" holds ${kindOf(row[key])}, expected a text, messages or token ids. Name the right column (--text-column)`,
  )
}

/** The ids that a mask lets through: padding is no calibration data. Errors: DataError for a mask that does not fit. */
function unmasked(ids: ArrayLike<unknown>, mask: unknown, where: string): unknown[] {
  const values = Array.isArray(mask) || ArrayBuffer.isView(mask) ? Array.from(mask as unknown as ArrayLike<unknown>, Number) : null
  if (values?.length !== ids.length || values.some((value) => value !== 0 && value !== 1)) {
    const found = values ? `${values.length} values for ${ids.length} tokens` : kindOf(mask)
    throw new DataError(`Cannot use ${where}: "${MASK}" holds ${found}, expected 0 or 1 for each token`)
  }
  return Array.from(ids).filter((_, at) => values[at] === 1)
}

/** A value that is an item as it is, null for one that is none. Errors: DataError for an empty one. */
function itemOf(value: unknown, where: string, blanks: boolean, key?: string): DataItem | null {
  const empty = (what: string) =>
    new DataError(
      `Cannot use ${where}: ${key ? `"${key}" holds ` : 'found '}an empty ${what}, expected something to calibrate on. Remove it`,
    )
  if (typeof value === 'string') {
    if (value.trim() === '' && !blanks) throw empty('text')
    return { kind: 'text', text: value, where }
  }
  if (value instanceof Int32Array) return { kind: 'tokens', ids: value, where }
  if (!Array.isArray(value)) return null
  if (value.length === 0) throw empty('row')
  if (typeof value[0] === 'object' && value[0] !== null && !Array.isArray(value[0]))
    return { kind: 'chat', messages: chatMessages(value, where), where }
  return { kind: 'tokens', ids: value, where }
}
