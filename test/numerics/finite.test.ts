import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { firstNonFinite } from '../../src/numerics/finite.ts'
import { decodeFloats } from '../../src/numerics/float-dtype.ts'

describe('firstNonFinite', () => {
  test.each(['F32', 'F16', 'BF16'] as const)('%s: finds what the decoded values say, in any bytes', (dtype) => {
    const size = dtype === 'F32' ? 4 : 2
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        const whole = bytes.subarray(0, bytes.length - (bytes.length % size))
        const expected = decodeFloats(whole, dtype).findIndex((value) => !Number.isFinite(value))
        expect(firstNonFinite(whole, dtype)).toBe(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('passes the largest numbers and finds both infinities and NaN', () => {
    const bits = (...values: number[]) => new Uint8Array(Uint16Array.from(values).buffer)
    expect(firstNonFinite(bits(0x7f7f, 0xff7f, 0), 'BF16')).toBe(-1)
    expect(firstNonFinite(bits(0x7bff, 0xfbff, 1), 'F16')).toBe(-1)
    for (const word of [0x7f80, 0xff80, 0x7fc0, 0x7f81]) expect(firstNonFinite(bits(0, word), 'BF16')).toBe(1)
    for (const word of [0x7c00, 0xfc00, 0x7e00, 0x7c01]) expect(firstNonFinite(bits(0, word), 'F16')).toBe(1)
  })
})
