import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DTYPE_BYTES } from '../../src/numerics/dtype.ts'
import { decodeFloats, encodeFloats, isStoredFloat, roundToDtype } from '../../src/numerics/float-dtype.ts'

describe('decodeFloats', () => {
  it('reads bytes at any offset, in an array of its own', () => {
    for (const dtype of ['F32', 'F16', 'BF16', 'F8_E4M3'] as const) {
      const stored = encodeFloats(Float32Array.of(1, -2, 0.5), dtype)
      const shifted = new Uint8Array(stored.length + 1)
      shifted.set(stored, 1)
      const decoded = decodeFloats(shifted.subarray(1), dtype)
      expect([...decoded]).toEqual([1, -2, 0.5])
      decoded[0] = 7
      expect(decodeFloats(shifted.subarray(1), dtype)[0]).toBe(1)
      expect(stored.length).toBe(3 * DTYPE_BYTES[dtype])
    }
  })

  it('refuses a part of an element', () => {
    expect(() => decodeFloats(new Uint8Array(3), 'BF16')).toThrow('3 bytes')
  })
})

describe('roundToDtype', () => {
  it('gives what storing and reading back gives, and does nothing twice', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true }), fc.constantFrom('F32', 'F16', 'BF16'), (values, dtype) => {
        const stored = decodeFloats(encodeFloats(values, dtype), dtype)
        const rounded = values.slice()
        roundToDtype(rounded, dtype)
        expect(rounded).toEqual(stored)
        roundToDtype(rounded, dtype)
        expect(rounded).toEqual(stored)
      }),
    )
  })
})

describe('isStoredFloat', () => {
  it('tells floats that can be read from everything else', () => {
    expect(Object.keys(DTYPE_BYTES).filter(isStoredFloat)).toEqual(['F8_E4M3', 'F16', 'BF16', 'F32'])
  })
})
