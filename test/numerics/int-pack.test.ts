import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  packAcross,
  packColumns,
  packDown,
  packedWords,
  packRows,
  unpackAcross,
  unpackColumns,
  unpackDown,
  unpackRows,
} from '../../src/numerics/int-pack.ts'

const hex = (words: Int32Array) => [...words].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join(' ')

const matrices = fc
  .record({ bits: fc.integer({ min: 1, max: 8 }), rows: fc.integer({ min: 0, max: 9 }), columns: fc.integer({ min: 0, max: 70 }) })
  .chain(({ bits, rows, columns }) => {
    const code = fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    const codes = fc.array(code, { minLength: rows * columns, maxLength: rows * columns }).map((list) => Int8Array.from(list))
    return fc.record({ bits: fc.constant(bits), rows: fc.constant(rows), columns: fc.constant(columns), codes })
  })

describe('packRows', () => {
  // Words that compressed-tensors 0.19 gives (pack_to_int32).
  it('packs 4, 8 and 3 bits as compressed-tensors does', () => {
    expect(hex(packRows(Int8Array.of(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3), 1, 12, 4))).toBe('76543210 0000ba98')
    expect(hex(packRows(Int8Array.of(-128, -1, 0, 1, 127), 1, 5, 8))).toBe('81807f00 000000ff')
    expect(hex(packRows(Int8Array.of(-4, -3, -2, -1, 0, 1, 2, 3, -4, -3, -2, -1), 1, 12, 3))).toBe('88fac688 00000006')
  })

  it('puts element i of a row at bits i * b of the row, for every width', () => {
    fc.assert(
      fc.property(matrices, ({ bits, rows, columns, codes }) => {
        const words = packRows(codes, rows, columns, bits)
        const perRow = packedWords(columns, bits)
        for (let row = 0; row < rows; row++) {
          let stream = 0n
          for (let i = 0; i < perRow; i++) stream |= BigInt(words[row * perRow + i] >>> 0) << BigInt(32 * i)
          let expected = 0n
          for (let i = 0; i < columns; i++) expected |= BigInt(codes[row * columns + i] + 2 ** (bits - 1)) << BigInt(i * bits)
          expect(stream).toBe(expected)
        }
      }),
    )
  })

  it('refuses a code that needs more bits', () => {
    expect(() => packRows(Int8Array.of(8), 1, 1, 4)).toThrow('outside -8..7')
    expect(() => packRows(Int8Array.of(-9), 1, 1, 4)).toThrow('outside -8..7')
  })

  it('refuses widths and lengths that do not fit', () => {
    expect(() => packRows(Int8Array.of(0), 1, 1, 9)).toThrow('1 to 8 bits')
    expect(() => packRows(Int8Array.of(0), 1, 2, 4)).toThrow('needs 2')
  })
})

describe('unpackRows', () => {
  it('is the inverse of packRows', () => {
    fc.assert(
      fc.property(matrices, ({ bits, rows, columns, codes }) => {
        expect(unpackRows(packRows(codes, rows, columns, bits), rows, columns, bits)).toEqual(codes)
      }),
    )
  })
})

describe('packColumns', () => {
  it('packs 4-bit zero points down the rows as compressed-tensors does', () => {
    expect(hex(packColumns(Int8Array.of(-8, 7, 0, 1, 2, 3, 4, 5, 6, -1), 10, 1, 4))).toBe('dcba98f0 0000007e')
  })

  it('is packRows of the transpose', () => {
    fc.assert(
      fc.property(matrices, ({ bits, rows, columns, codes }) => {
        const transposed = new Int8Array(codes.length)
        codes.forEach((code, i) => {
          transposed[(i % columns) * rows + Math.floor(i / columns)] = code
        })
        const byRows = packRows(transposed, columns, rows, bits)
        const perColumn = packedWords(rows, bits)
        const words = packColumns(codes, rows, columns, bits)
        words.forEach((word, i) => {
          expect(word).toBe(byRows[(i % columns) * perColumn + Math.floor(i / columns)])
        })
      }),
    )
  })
})

describe('unpackColumns', () => {
  it('is the inverse of packColumns', () => {
    fc.assert(
      fc.property(matrices, ({ bits, rows, columns, codes }) => {
        expect(unpackColumns(packColumns(codes, rows, columns, bits), rows, columns, bits)).toEqual(codes)
      }),
    )
  })
})

const swapped = (words: Int32Array, rows: number, columns: number) =>
  Int32Array.from({ length: words.length }, (_, i) => words[(i % rows) * columns + Math.floor(i / rows)])

describe('packAcross and packDown', () => {
  it('hold the words of packRows and packColumns the other way round, and unpack to the codes', () => {
    fc.assert(
      fc.property(matrices, ({ bits, rows, columns, codes }) => {
        const across = packAcross(codes, rows, columns, bits)
        expect(across).toEqual(swapped(packRows(codes, rows, columns, bits), rows, packedWords(columns, bits)))
        expect(unpackAcross(across, rows, columns, bits)).toEqual(codes)
        const down = packDown(codes, rows, columns, bits)
        expect(down).toEqual(swapped(packColumns(codes, rows, columns, bits), packedWords(rows, bits), columns))
        expect(unpackDown(down, rows, columns, bits)).toEqual(codes)
      }),
    )
  })
})
