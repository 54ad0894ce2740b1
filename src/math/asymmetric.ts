import { roundHalfEven } from '../numerics/round.ts'
import { UserError } from '../util/errors.ts'
import { type ScaleOptions, usableStep } from './scale.ts'
import { type Range, rangeOf, requireBits, toFloat32 } from './values.ts'

/** Values quantized over their range: value = (code - zeroPoint) * scale. */
export interface Asymmetric {
  /** [n] 0 .. 2^bits - 1. */
  readonly codes: Uint8Array
  /** The step size. */
  readonly scale: number
  /** The code of 0, one of those there are. */
  readonly zeroPoint: number
  readonly bits: number
}

export interface AsymmetricOptions extends ScaleOptions {
  /** 2 to 8; 8 by default. */
  readonly bits?: number
  /** A range that is known, such as one seen on other data; values past it saturate. That of the values by default. */
  readonly range?: Range
}

/**
 * Unsigned integers of any width over the range of the values, which is widened to hold 0, so that 0 comes back as 0 and the zero point is a
 * code: scale = (max - min) / (2^bits - 1), zero point = round(-min / scale), code = round(x / scale + zero point), clipped before it is cast, halves to
 * even. Worked: [0.5, -1.2, 0.3, 2.1, -0.8] with 8 bits has scale 0.0129412, zero point 93 and codes [132, 0, 116, 255, 31]. Errors: UserError for
 * no values, one that is not finite, other bits, a range that is none.
 */
export function quantizeAsymmetric(values: ArrayLike<number>, options: AsymmetricOptions = {}): Asymmetric {
  const { bits = 8, range } = options
  requireBits(bits)
  const found = rangeOf(values)
  if (range && !(range.min <= range.max && Number.isFinite(range.max - range.min)))
    throw new UserError(`Cannot quantize over ${range.min} .. ${range.max}: expected a finite range, its smallest value first.`)
  const min = Math.min(0, (range ?? found).min)
  const max = Math.max(0, (range ?? found).max)
  const largest = 2 ** bits - 1
  const scale = usableStep((max - min) / largest, largest, options)
  const within = (code: number) => roundHalfEven(Math.min(largest, Math.max(0, code)))
  const zeroPoint = within(-min / scale)
  const codes = new Uint8Array(values.length)
  for (let i = 0; i < codes.length; i++) codes[i] = within(values[i] / scale + zeroPoint)
  return { codes, scale, zeroPoint, bits }
}

/** [n] (code - zeroPoint) * scale, float32. */
export function dequantizeAsymmetric({ codes, scale, zeroPoint }: Omit<Asymmetric, 'bits'>): Float32Array {
  return Float32Array.from(codes, (code) => toFloat32((code - zeroPoint) * scale))
}
