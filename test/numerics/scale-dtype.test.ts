import { describe, expect, it } from 'vitest'
import { decodeScales, encodeScales, roundScales } from '../../src/numerics/scale-dtype.ts'

describe('roundScales', () => {
  it.each(['F32', 'F16', 'BF16', 'F8_E4M3', 'U8'] as const)('%s: what is rounded is what is stored, and nothing is zero', (dtype) => {
    const scales = Float32Array.of(0, 0.3, 1, 1000, 0.0071)
    roundScales(scales, dtype)
    expect(decodeScales(encodeScales(scales, dtype), dtype)).toEqual(scales)
    expect(scales.every((scale) => scale > 0)).toBe(true)
  })

  // calculate_qparams of compressed-tensors 0.19 on a tile of zeros.
  it('puts the epsilon of its type for zero', () => {
    const epsilon = (dtype: 'F32' | 'F16' | 'BF16' | 'F8_E4M3') => {
      const scales = new Float32Array(1)
      roundScales(scales, dtype)
      return scales[0]
    }
    expect([epsilon('F32'), epsilon('F16'), epsilon('BF16'), epsilon('F8_E4M3')]).toEqual([2 ** -23, 2 ** -10, 2 ** -7, 0.125])
  })
})
