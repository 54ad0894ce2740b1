import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DenseProducts, type DenseShape, type Factor } from '../../src/kernels/dense.ts'
import { random } from '../engine/engines.ts'

/** Each sum term by term, in float32. */
function plain(a: Factor, b: Factor, { rows, depth, columns }: DenseShape): Float32Array {
  const out = new Float32Array(rows * columns)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0
      for (let k = 0; k < depth; k++) {
        sum = Math.fround(sum + Math.fround(at(a, i, k) * at(b, k, j)))
      }
      out[i * columns + j] = sum
    }
  }
  return out
}

function at({ values, pitch, from, transposed }: Factor, row: number, column: number): number {
  return transposed ? values[column * pitch + from + row] : values[row * pitch + from + column]
}

/** Random numbers, of rows with `gap` more columns, half of them on each side. */
function factor(rows: number, columns: number, transposed: boolean, gap: number, seed: number): Factor {
  const pitch = (transposed ? rows : columns) + gap
  return { values: random((transposed ? columns : rows) * pitch, seed), pitch, from: gap >> 1, transposed }
}

describe('DenseProducts', () => {
  const opened: DenseProducts[] = []
  beforeAll(async () => {
    for (const threads of [1, 2, 5]) opened.push(await DenseProducts.open(threads))
  })
  afterAll(async () => {
    for (const products of opened) await products.close()
  })

  /** Of factors transposed or not, in matrices with some columns more. */
  function expectPlain(shape: DenseShape, transposeA: boolean, transposeB: boolean, gap = 0): void {
    const a = factor(shape.rows, shape.depth, transposeA, gap, 1)
    const b = factor(shape.depth, shape.columns, transposeB, gap, 2)
    const expected = plain(a, b, shape)
    for (const products of opened) {
      const out = new Float32Array(expected.length).fill(Number.NaN)
      products.multiply(a, b, out, shape)
      expect(Buffer.from(out.buffer).equals(Buffer.from(expected.buffer))).toBe(true)
    }
  }

  test('gives the bytes of a plain sum for any shape, in any number of threads', () => {
    const side = fc.integer({ min: 1, max: 140 })
    fc.assert(
      fc.property(side, side, side, fc.boolean(), fc.boolean(), fc.nat(5), (rows, depth, columns, transposeA, transposeB, gap) => {
        expectPlain({ rows, depth, columns }, transposeA, transposeB, gap)
      }),
      { numRuns: 100 },
    )
  })

  test.each([false, true])('the same by strips (transposed %s)', async (transposed) => {
    // 8 rows of the first factor and a panel of the second at a time.
    opened.push(await DenseProducts.open(2, { left: 3000, right: 3000, out: 3000 }))
    expectPlain({ rows: 30, depth: 90, columns: 150 }, transposed, transposed, 3)
  })

  test('sums of no terms are zero', () => {
    const out = Float32Array.of(1, 2)
    opened[0].multiply(factor(1, 0, false, 0, 1), factor(0, 2, false, 0, 1), out, { rows: 1, depth: 0, columns: 2 })
    expect([...out]).toEqual([0, 0])
  })

  test('rows of many chunks', () => {
    expectPlain({ rows: 1030, depth: 17, columns: 130 }, false, false)
  })

  test('an infinite factor stays within its row and column', () => {
    const shape = { rows: 6, depth: 70, columns: 10 }
    const a = factor(shape.rows, shape.depth, false, 0, 3)
    const b = factor(shape.depth, shape.columns, false, 0, 4)
    a.values[2 * shape.depth + 5] = Number.POSITIVE_INFINITY
    const out = new Float32Array(shape.rows * shape.columns)
    opened[1].multiply(a, b, out, shape)
    expect(Array.from(out.keys()).filter((i) => !Number.isFinite(out[i]))).toEqual(Array.from({ length: 10 }, (_, j) => 20 + j))
  })
})
