import { DataError } from '../util/errors.ts'

/** One end of a slice: so many rows, or so many percent of them; counted from the end where it is negative. */
interface Bound {
  readonly value: number
  readonly percent: boolean
}

/** Part of a split; null for an end that is open. */
export interface SplitSlice {
  /** As it was written, `[:5%]`. */
  readonly text: string
  readonly from: Bound | null
  readonly to: Bound | null
}

const SLICED = /^([\w.-]+)\[([^[\]]*)\]$/

/**
 * A split as the datasets library writes it: `train`, `train[:5%]`, `train[100:200]`, `train[-10:]`. Errors: DataError for another form of
 * slice and for splits added up.
 */
export function parseSplit(text: string): { split: string; slice: SplitSlice | null } {
  if (!/[[\]+()]/.test(text)) return { split: text, slice: null }
  const [, split, inside] = SLICED.exec(text.replace(/\s/g, '')) ?? []
  const ends = inside?.split(':').map(bound) ?? []
  const [from, to] = ends
  if (split === undefined || ends.length !== 2 || from === undefined || to === undefined)
    throw new DataError(
      `Cannot read the split "${text}": expected a name, or one part of it such as train[:5%], train[100:200] or train[-10:]. (--split)`,
    )
  return { split, slice: { text: `[${inside}]`, from, to } }
}

/** Null for an open end, undefined for what is none. */
function bound(text: string): Bound | null | undefined {
  if (text === '') return null
  const [, digits, percent] = /^(-?\d+)(%?)$/.exec(text) ?? []
  if (digits === undefined || (percent && Math.abs(Number(digits)) > 100)) return undefined
  return { value: Number(digits), percent: percent === '%' }
}

/** Whether the number of all rows must be known to say which ones are meant. */
export function needsTotal({ from, to }: SplitSlice): boolean {
  return [from, to].some((end) => end !== null && (end.percent || end.value < 0))
}

/** The rows of a slice, `end` not included. Percentages fall on the nearest row, as in the datasets library (ReadInstruction). */
export function sliceRows({ from, to }: SplitSlice, total: number): { start: number; end: number } {
  const at = ({ value, percent }: Bound) => {
    const row = percent ? roundHalfToEven((value * total) / 100) : value
    return Math.min(total, Math.max(0, row < 0 ? total + row : row))
  }
  return { start: from === null ? 0 : at(from), end: to === null ? total : at(to) }
}

/** Python's `round`. */
function roundHalfToEven(value: number): number {
  const down = Math.floor(value)
  if (value - down !== 0.5) return Math.round(value)
  return down % 2 === 0 ? down : down + 1
}
