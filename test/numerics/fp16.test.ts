import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBf16 } from '../../src/numerics/bf16.ts'
import { decodeFp16, encodeFp16 } from '../../src/numerics/fp16.ts'
import { canonicalBits, nearestInTable, PATTERNS, sha256 } from './patterns.ts'

describe('decodeFp16', () => {
  // torch 2.14: every float16 pattern in order, `.float()`; sha256 of the bytes, each NaN replaced by 7fc00000.
  it('gives what torch gives for all patterns', () => {
    expect(sha256(canonicalBits(decodeFp16(PATTERNS)))).toBe('385ff5fe69182797cda5f1827e20cf423f4416bc9246f27d0eec27cac9039259')
  })
})

describe('encodeFp16', () => {
  // torch 2.14: every bfloat16 pattern in order, `.float().to(float16)`; sha256 of the bytes, each NaN replaced by 7e00.
  it('gives what torch gives for all bfloat16 values', () => {
    expect(sha256(encodeFp16(decodeBf16(PATTERNS)))).toBe('081663db890db93c3f0f03bbac4450a56ff468dbf706005a749fa4d33e9b3971')
  })

  it('takes the nearest value, ties to the even pattern', () => {
    const table = decodeFp16(PATTERNS.slice(0, 0x7c00))
    const numbers = fc.oneof(fc.float({ noNaN: true, min: -65504, max: 65504 }), fc.float({ noNaN: true, min: 0, max: Math.fround(1e-4) }))
    fc.assert(
      fc.property(numbers, (x) => {
        expect(encodeFp16(Float32Array.of(x))[0] & 0x7fff).toBe(nearestInTable(x, table))
      }),
      { numRuns: 200 },
    )
  })

  it('overflows to infinity from 65520, half way past the largest value', () => {
    expect([...encodeFp16(Float32Array.of(65519, 65520, -1e9, Number.POSITIVE_INFINITY))]).toEqual([0x7bff, 0x7c00, 0xfc00, 0x7c00])
  })
})
