import { roundHalfEven } from '../numerics/round.ts'
import { requireStep, type ScaleOptions, usableStep } from './scale.ts'
import { rangeOf, requireBits, toFloat32 } from './values.ts'

/** Values quantized symmetrically: value = code * scale. */
export interface Symmetric {
  /** [n] -2^(bits-1) .. 2^(bits-1) - 1. */
  readonly codes: Int8Array
  /** The step size. */
  readonly scale: number
  readonly bits: number
}

export interface SymmetricOptions extends ScaleOptions {
  /** 2 to 8; 8 by default. */
  readonly bits?: number
  /** A step that is known; values past the range saturate. max|x| / (2^(bits-1) - 1) by default. */
  readonly scale?: number
}

/**
 * Integers of any width around zero: scale = max|x| / (2^(bits-1) - 1), code = round(x / scale), clipped before it is cast, halves to even. Worked, on
 * [0.5, -1.2, 0.3, 2.1, -0.8]: with 8 bits scale 0.0165354 and codes [30, -73, 18, 127, -48]; with 4 bits scale 0.3 and codes [2, -4, 1, 7, -3]. Zeros
 * become zeros. Errors: UserError for no values, one that is not finite, other bits, a scale that is not positive.
 */
export function quantizeSymmetric(values: ArrayLike<number>, options: SymmetricOptions = {}): Symmetric {
  const { bits = 8, scale: given } = options
  requireBits(bits)
  if (given !== undefined) requireStep(given)
  const { min, max } = rangeOf(values)
  const largest = 2 ** (bits - 1) - 1
  const scale = usableStep(given ?? Math.max(-min, max) / largest, largest, options)
  const codes = new Int8Array(values.length)
  for (let i = 0; i < codes.length; i++) codes[i] = roundHalfEven(Math.min(largest, Math.max(-largest - 1, values[i] / scale)))
  return { codes, scale, bits }
}

/** [n] code * scale, float32. */
export function dequantizeSymmetric({ codes, scale }: Pick<Symmetric, 'codes' | 'scale'>): Float32Array {
  return Float32Array.from(codes, (code) => toFloat32(code * scale))
}
