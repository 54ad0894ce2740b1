import { UserError } from '../util/errors.ts'

/** The largest float32. */
const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127

/** Smallest and largest of some values. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** Smallest and largest value. Errors: UserError for no values at all, and for one that is no finite float32. */
export function rangeOf(values: ArrayLike<number>): Range {
  if (values.length === 0) throw new UserError('Cannot quantize: found no values, expected at least one.')
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (!(Math.abs(value) <= FLOAT32_MAX))
      throw new UserError(`Cannot quantize: found ${value} at element ${i}, expected finite float32 values.`)
    if (value < min) min = value
    if (value > max) max = value
  }
  return { min, max }
}

/** Errors: UserError for a number of bits that codes of one byte do not have. */
export function requireBits(bits: number): void {
  if (!Number.isInteger(bits) || bits < 2 || bits > 8)
    throw new UserError(`Cannot quantize to ${bits} bits: expected a whole number from 2 to 8.`)
}

/** A float64 as a float32, the largest one where it is past that. */
export function toFloat32(value: number): number {
  return Math.fround(Math.min(FLOAT32_MAX, Math.max(-FLOAT32_MAX, value)))
}
