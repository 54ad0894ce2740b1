import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packAwq, unpackAwq } from '../../src/numerics/awq-pack.ts'

describe('packAwq', () => {
  // pack_awq of GPTQModel 7.7 (AutoAWQ's order) for codes 0 .. 7 of the outputs 0 .. 7: nibbles 0 2 4 6 1 3 5 7, lowest first.
  it('puts eight outputs into a word in the order of AutoAWQ', () => {
    const [word] = packAwq(
      Int8Array.from({ length: 8 }, (_, i) => i - 8),
      8,
      1,
    )
    expect((word >>> 0).toString(16).padStart(8, '0')).toBe('75316420')
  })

  it('is undone by unpackAwq, and refuses what does not fit', () => {
    const shapes = fc.record({ words: fc.integer({ min: 0, max: 4 }), columns: fc.integer({ min: 1, max: 20 }) })
    const matrices = shapes.chain(({ words, columns }) => {
      const codes = fc.array(fc.integer({ min: -8, max: 7 }), { minLength: 8 * words * columns, maxLength: 8 * words * columns })
      return fc.tuple(fc.constant(8 * words), fc.constant(columns), codes)
    })
    fc.assert(
      fc.property(matrices, ([rows, columns, list]) => {
        const codes = Int8Array.from(list)
        expect(unpackAwq(packAwq(codes, rows, columns), rows, columns)).toEqual(codes)
      }),
    )
    expect(() => packAwq(new Int8Array(7), 7, 1)).toThrow('a multiple of 8')
    expect(() => packAwq(new Int8Array(8).fill(8), 8, 1)).toThrow('outside -8..7')
    expect(() => packAwq(new Int8Array(9), 8, 1)).toThrow('[8, 1] needs 8')
  })
})
