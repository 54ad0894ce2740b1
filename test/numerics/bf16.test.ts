import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBf16, decodeBf16Into, encodeBf16, roundBf16 } from '../../src/numerics/bf16.ts'
import { decodeFp16 } from '../../src/numerics/fp16.ts'
import { canonicalBits, PATTERNS, sha256 } from './patterns.ts'

describe('decodeBf16', () => {
  it('puts the pattern in the upper half of the float32', () => {
    expect([...decodeBf16(Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f80))]).toEqual([1, -2, 2 ** -133, Number.POSITIVE_INFINITY])
  })
})

describe('decodeBf16Into', () => {
  it('says whether all are finite, wherever the one that is not lies', () => {
    fc.assert(
      fc.property(fc.uint16Array({ minLength: 1, maxLength: 9 }), fc.boolean(), (patterns, isOdd) => {
        // At an odd place too, where pairs do not lie in words.
        const all = Uint16Array.of(0x7fc0, ...patterns)
        const bits = isOdd ? all.subarray(1) : patterns
        const values = new Float32Array(patterns.length + 1).fill(5)
        expect(decodeBf16Into(bits, values)).toBe(decodeBf16(patterns).every(Number.isFinite))
        expect(canonicalBits(values.subarray(0, -1))).toEqual(canonicalBits(decodeBf16(patterns)))
        expect(values[patterns.length]).toBe(5)
      }),
      {
        examples: [
          [Uint16Array.of(0x7f80), false],
          [Uint16Array.of(0, 0xffff, 0), true],
          [Uint16Array.of(0x7f7f, 0xff7f), false],
        ],
      },
    )
  })
})

describe('encodeBf16', () => {
  // torch 2.14: every float16 pattern in order, `.to(bfloat16)`; sha256 of the bytes, each NaN replaced by 7fc0.
  it('gives what torch gives for all float16 values', () => {
    expect(sha256(encodeBf16(decodeFp16(PATTERNS)))).toBe('37de2c9beecc2633296c26c38c769266445dbdb118bf655d177cddbd3e73914c')
  })

  it('is the inverse of decodeBf16', () => {
    const finite = PATTERNS.filter((pattern) => (pattern & 0x7fff) <= 0x7f80)
    expect(Buffer.from(encodeBf16(decodeBf16(finite)).buffer).equals(Buffer.from(finite.buffer))).toBe(true)
  })
})

describe('roundBf16', () => {
  it('gives in place what encoding and decoding give', () => {
    fc.assert(
      fc.property(fc.float32Array(), (values) => {
        const rounded = values.slice()
        roundBf16(rounded)
        expect(canonicalBits(rounded)).toEqual(canonicalBits(decodeBf16(encodeBf16(values))))
      }),
    )
  })

  it('rounds halves to even: torch gives 1.0 for 1 + 2^-8 and 1 + 2^-6 for 1 + 3 * 2^-8', () => {
    const values = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN)
    roundBf16(values)
    expect([...values]).toEqual([1, 1 + 2 ** -6, Number.NaN])
  })
})
