import { DataError } from '../util/errors.ts'
import type { DataItem } from './data-item.ts'
import { kindOf } from './kind-of.ts'

/** What token rows must fit. */
export interface TokenRowLimits {
  /** Tokens a row; what is longer is cut. */
  readonly length: number
  /** The model's positions: a row beyond them cannot be meant for it. */
  readonly context: number
}

/** A row of token ids, cut to the length. Errors: DataError for what is no list of whole numbers, too short or beyond the context. */
export function tokenRow(item: DataItem, { length, context }: TokenRowLimits): { row: Int32Array; cut: boolean } {
  const { where } = item
  if (item.kind !== 'tokens')
    throw new DataError(`Cannot use ${where}: found a ${item.kind}, expected an array of token ids like the rows before it`)
  const { ids } = item
  requireWholeNumbers(ids, where)
  if (ids.length < 2) throw new DataError(`Cannot use ${where}: found ${ids.length} tokens, expected at least 2`)
  if (ids.length > context)
    throw new DataError(`Cannot use ${where}: found ${ids.length} tokens, expected at most the ${context} positions of the model`)
  return {
    row: Int32Array.from(ids instanceof Int32Array ? ids.subarray(0, length) : Array.from(ids).slice(0, length)),
    cut: ids.length > length,
  }
}

/** By index, because `every` and its like pass over the holes of an array, which would become zeros. */
function requireWholeNumbers(row: ArrayLike<unknown>, where: string): asserts row is ArrayLike<number> {
  if (row instanceof Int32Array) return
  for (let at = 0; at < row.length; at++) {
    const id = row[at]
    if (Number.isInteger(id) && Math.abs(Number(id)) < 2 ** 31) continue
    const found = typeof id === 'number' ? `${id}` : kindOf(id)
    throw new DataError(`Cannot use ${where}: found ${found} at position ${at}, expected token ids (whole numbers)`)
  }
}
