import { roundHalfEven } from '../numerics/round.ts'
import { type Range, rangeOf, toFloat32 } from './values.ts'

/** Values quantized by their largest magnitude. */
export interface Absmax {
  /** [n] -127 .. 127. */
  readonly codes: Int8Array
  /** What values are multiplied by, 127 / max|x|: the reciprocal of a step size. 127 where all values are 0. */
  readonly multiplier: number
  /** [n] codes / multiplier, float32. */
  readonly reconstruction: Float32Array
}

/**
 * int8 by the largest magnitude: multiplier s = 127 / max|x|, code = round(s * x), halves to even. Worked: [0.5, -1.2, 0.3, 2.1, -0.8] has s =
 * 60.476 and the codes [30, -73, 18, 127, -48]. Zeros become zeros. Errors: UserError for no values and for one that is not finite.
 */
export function absmaxQuantize(values: ArrayLike<number>): Absmax {
  const multiplier = absmaxMultiplier(rangeOf(values))
  const codes = new Int8Array(values.length)
  for (let i = 0; i < codes.length; i++) codes[i] = absmaxCode(values[i], multiplier)
  return { codes, multiplier, reconstruction: absmaxDequantize({ codes, multiplier }) }
}

/** What values within a range are multiplied by. */
export function absmaxMultiplier({ min, max }: Range): number {
  const exact = 127 / Math.max(-min, max)
  // Of zeros, and of what is too small to divide by.
  return Number.isFinite(exact) ? exact : 127
}

/** The code of a value, -127 .. 127. */
export function absmaxCode(value: number, multiplier: number): number {
  return Math.min(127, Math.max(-127, roundHalfEven(multiplier * value)))
}

/** [n] codes / multiplier, float32. */
export function absmaxDequantize({ codes, multiplier }: Pick<Absmax, 'codes' | 'multiplier'>): Float32Array {
  return Float32Array.from(codes, (code) => toFloat32(code / multiplier))
}
