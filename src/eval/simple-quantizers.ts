import { absmaxCode, absmaxMultiplier } from '../math/absmax.ts'
import { type Range, toFloat32 } from '../math/values.ts'
import { zeropointCode, zeropointGrid } from '../math/zero-point.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'

/** The textbook quantizers: eight bits for a whole tensor with one scale, without and with a zero point. */
export const SIMPLE_QUANTIZERS = ['absmax', 'zero-point'] as const
export type SimpleQuantizer = (typeof SIMPLE_QUANTIZERS)[number]

/** What is left of some values, in an array of its own; as `simplyQuantize`. */
export function simplyQuantized(values: Float32Array, quantizer: SimpleQuantizer, range: Range, dtype: FloatDType): Float32Array {
  const left = values.slice()
  simplyQuantize(left, quantizer, range, dtype)
  return left
}

/**
 * Replaces values in place by what their codes stand for, as `absmaxQuantize` and `zeropointQuantize` of llmpress/math have it, rounded to the
 * type that the tensor is stored in. `range`: of the whole tensor, of which `values` may be a part.
 */
export function simplyQuantize(values: Float32Array, quantizer: SimpleQuantizer, range: Range, dtype: FloatDType): void {
  if (quantizer === 'absmax') {
    const multiplier = absmaxMultiplier(range)
    for (let i = 0; i < values.length; i++) values[i] = toFloat32(absmaxCode(values[i], multiplier) / multiplier)
  } else {
    const grid = zeropointGrid(range)
    for (let i = 0; i < values.length; i++) values[i] = toFloat32((zeropointCode(values[i], grid) - grid.zeroPoint) / grid.multiplier)
  }
  roundToDtype(values, dtype)
}
