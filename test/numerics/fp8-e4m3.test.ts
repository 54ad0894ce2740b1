import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBf16 } from '../../src/numerics/bf16.ts'
import { decodeFp8E4m3, encodeFp8E4m3, FP8_E4M3_MAX } from '../../src/numerics/fp8-e4m3.ts'
import { decodeFp16 } from '../../src/numerics/fp16.ts'
import { canonicalBits, nearestInTable, PATTERNS, sha256 } from './patterns.ts'

describe('decodeFp8E4m3', () => {
  // torch 2.14: every float8_e4m3fn pattern in order, `.float()`; sha256 of the bytes, each NaN replaced by 7fc00000.
  it('gives what torch gives for all patterns', () => {
    const decoded = decodeFp8E4m3(Uint8Array.from({ length: 256 }, (_, i) => i))
    expect(sha256(canonicalBits(decoded))).toBe('422eccfaa21e72a6b26855bb10cdcfead6c1ce3262ecd813c99d8cbf9677f2e2')
    expect(decoded[0x7e]).toBe(FP8_E4M3_MAX)
  })
})

describe('encodeFp8E4m3', () => {
  // torch 2.14: every pattern in order, `.float().clamp(-448, 448).to(float8_e4m3fn)`; sha256 of the bytes, each NaN replaced by 7f.
  it('gives what torch gives for all bfloat16 and float16 values', () => {
    expect(sha256(encodeFp8E4m3(decodeBf16(PATTERNS)))).toBe('2f8096b3b00699a86e3e44c61fc0287c5111ab4b4e3d1ad604f6f3a5b3eca0db')
    expect(sha256(encodeFp8E4m3(decodeFp16(PATTERNS)))).toBe('0212e2599adcd3301d3bad890a053b8b41e514049b9988db67e77c2e21e464ce')
  })

  it('takes the nearest value, ties to the even pattern, and saturates', () => {
    const table = decodeFp8E4m3(Uint8Array.from({ length: 127 }, (_, i) => i))
    const numbers = fc.oneof(
      fc.float({ noNaN: true }),
      fc.float({ noNaN: true, min: -500, max: 500 }),
      fc.float({ noNaN: true, min: 0, max: 0.0625 }),
    )
    fc.assert(
      fc.property(numbers, (x) => {
        const [bits] = encodeFp8E4m3(Float32Array.of(x))
        expect(bits & 0x7f).toBe(nearestInTable(Number.isFinite(x) ? x : FP8_E4M3_MAX, table))
        expect(bits & 0x80).toBe(Object.is(x, -0) || x < 0 ? 0x80 : 0)
      }),
      { numRuns: 2000 },
    )
  })
})
