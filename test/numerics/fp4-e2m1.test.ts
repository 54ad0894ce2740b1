import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeFp4E2m1, encodeFp4E2m1, FP4_E2M1_MAX, packFp4, unpackFp4 } from '../../src/numerics/fp4-e2m1.ts'
import { nearestInTable } from './patterns.ts'

const TABLE = decodeFp4E2m1(Uint8Array.from({ length: 8 }, (_, i) => i))

describe('encodeFp4E2m1', () => {
  // compressed-tensors 0.19, FP4_E2M1_DATA.cast_to_fp4: ties go to the even pattern, the sign stays.
  it('rounds at the thresholds of compressed-tensors', () => {
    const values = Float32Array.of(0.25, 0.26, 0.74, 0.75, 1.25, 1.26, 1.74, 1.75, 2.5, 2.51, 3.49, 3.5, 5, 5.01, 6, 1e9)
    expect([...encodeFp4E2m1(values)]).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7])
    expect([...encodeFp4E2m1(values.map((x) => -x))]).toEqual([8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15])
    expect([...encodeFp4E2m1(Float32Array.of(0, -0, -1e-9))]).toEqual([0, 8, 8])
  })

  it('takes the nearest value, ties to the even pattern, and saturates', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -8, max: 8 }), (x) => {
        const [bits] = encodeFp4E2m1(Float32Array.of(x))
        expect(bits & 7).toBe(nearestInTable(Math.max(-FP4_E2M1_MAX, Math.min(FP4_E2M1_MAX, x)), TABLE))
        expect(bits >> 3).toBe(Object.is(x, -0) || x < 0 ? 1 : 0)
      }),
      { numRuns: 2000 },
    )
  })

  it('is the inverse of decoding for every pattern', () => {
    const patterns = Uint8Array.from({ length: 16 }, (_, i) => i)
    expect(encodeFp4E2m1(decodeFp4E2m1(patterns))).toEqual(patterns)
  })
})

describe('packFp4', () => {
  // compressed-tensors 0.19, pack_fp4_to_uint8.
  it('gives the bytes of compressed-tensors', () => {
    const values = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -6)
    expect(Buffer.from(packFp4(encodeFp4E2m1(values))).toString('hex')).toBe('1032547698fa')
  })

  it('is undone by unpackFp4', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(15)), (patterns) => {
        const even = Uint8Array.from(patterns.length % 2 === 0 ? patterns : [...patterns, 0])
        expect(unpackFp4(packFp4(even))).toEqual(even)
      }),
    )
  })

  it('refuses what fills no byte', () => {
    expect(() => packFp4(new Uint8Array(3))).toThrow('expected an even number')
    expect(() => packFp4(Uint8Array.of(1, 16))).toThrow('above 15')
  })
})
