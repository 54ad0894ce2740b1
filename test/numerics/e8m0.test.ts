import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeE8m0, encodeE8m0, toPowerOfTwoScales } from '../../src/numerics/e8m0.ts'

describe('decodeE8m0', () => {
  it('gives a power of two for every pattern but NaN, and encodeE8m0 takes it back', () => {
    const patterns = Uint8Array.from({ length: 256 }, (_, i) => i)
    const values = decodeE8m0(patterns)
    expect([values[0], values[127], values[254], values[255]]).toEqual([2 ** -127, 1, 2 ** 127, Number.NaN])
    expect(encodeE8m0(values)).toEqual(patterns)
  })
})

describe('encodeE8m0', () => {
  it('rounds down to a power of two', () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(1e-37), noNaN: true, noDefaultInfinity: true }), (value) => {
        const [power] = decodeE8m0(encodeE8m0(Float32Array.of(value)))
        expect(power).toBeLessThanOrEqual(value)
        expect(power * 2).toBeGreaterThan(value)
      }),
    )
  })
})

describe('toPowerOfTwoScales', () => {
  // compressed-tensors 0.19, generate_mx_scales (num_bits 4, then 8) less 127: a fraction of 0.75 and more goes up.
  it('gives the exponents of compressed-tensors', () => {
    const magnitudes = [0, 0.0825, 1, 1.74, 1.75, 7, 448, 1e38]
    const exponents = (offset: number) => {
      const scales = Float32Array.from(magnitudes)
      toPowerOfTwoScales(scales, offset)
      return [...scales].map(Math.log2)
    }
    expect(exponents(2)).toEqual([-127, -6, -2, -2, -1, 1, 7, 124])
    expect(exponents(8)).toEqual([-127, -12, -8, -8, -7, -5, 1, 118])
  })
})
