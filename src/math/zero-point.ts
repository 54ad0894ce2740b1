import { roundHalfEven } from '../numerics/round.ts'
import { type Range, rangeOf, toFloat32 } from './values.ts'

/** Values quantized by their range. */
export interface ZeroPoint {
  /** [n] -128 .. 127. */
  readonly codes: Int8Array
  /** What values are multiplied by, 255 / (max - min): the reciprocal of a step size. */
  readonly multiplier: number
  /** The code of 0, a whole number; outside -128 .. 127 where no value is near 0. */
  readonly zeroPoint: number
  /** [n] (codes - zeroPoint) / multiplier, float32. */
  readonly reconstruction: Float32Array
}

/**
 * int8 over the range of the values: multiplier s = 255 / (max - min), zero point z = round(-s * min - 128), code = round(s * x + z) within -128 ..
 * 127, halves to even. A range of 0 counts as 1, so that constants come back within half a code. Worked: [0.5, -1.2, 0.3, 2.1, -0.8] has s = 77.273,
 * z = -35 and the codes [4, -128, -12, 127, -97]. Errors: UserError for no values and for one that is not finite.
 */
export function zeropointQuantize(values: ArrayLike<number>): ZeroPoint {
  const grid = zeropointGrid(rangeOf(values))
  const codes = new Int8Array(values.length)
  for (let i = 0; i < codes.length; i++) codes[i] = zeropointCode(values[i], grid)
  return { codes, ...grid, reconstruction: zeropointDequantize({ codes, ...grid }) }
}

/** What values within a range are multiplied by, and the code of 0. */
export function zeropointGrid({ min, max }: Range): Pick<ZeroPoint, 'multiplier' | 'zeroPoint'> {
  const exact = 255 / (max - min)
  const multiplier = Number.isFinite(exact) ? exact : 255
  return { multiplier, zeroPoint: roundHalfEven(-multiplier * min - 128) }
}

/** The code of a value, -128 .. 127. */
export function zeropointCode(value: number, { multiplier, zeroPoint }: Pick<ZeroPoint, 'multiplier' | 'zeroPoint'>): number {
  return Math.min(127, Math.max(-128, roundHalfEven(multiplier * value + zeroPoint)))
}

/** [n] (codes - zeroPoint) / multiplier, float32. */
export function zeropointDequantize({ codes, multiplier, zeroPoint }: Omit<ZeroPoint, 'reconstruction'>): Float32Array {
  return Float32Array.from(codes, (code) => toFloat32((code - zeroPoint) / multiplier))
}
