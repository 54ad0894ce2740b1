import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DenseProducts, type DenseShape } from '../../src/kernels/dense.ts'
import { random } from '../engine/engines.ts'

/** Each sum term by term, in float32. */
function plain(a: Float32Array, b: Float32Array, { rows, depth, columns, transposed }: DenseShape): Float32Array {
  const out = new Float32Array(rows * columns)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0
      for (let k = 0; k < depth; k++) {
        const value = transposed ? b[j * depth + k] : b[k * columns + j]
        sum = Math.fround(sum + Math.fround(a[i * depth + k] * value))
      }
      out[i * columns + j] = sum
    }
  }
  return out
}

describe('DenseProducts', () => {
  const opened: DenseProducts[] = []
  beforeAll(async () => {
    for (const threads of [1, 2, 5]) opened.push(await DenseProducts.open(threads))
  })
  afterAll(async () => {
    for (const products of opened) await products.close()
  })

  function expectPlain(shape: DenseShape): void {
    const a = random(shape.rows * shape.depth, 1)
    const b = random(shape.depth * shape.columns, 2)
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
      fc.property(side, side, side, fc.boolean(), (rows, depth, columns, transposed) => {
        expectPlain({ rows, depth, columns, transposed })
      }),
      { numRuns: 60 },
    )
  })

  test.each([false, true])('the same by strips (transposed %s)', async (transposed) => {
    // 8 rows of the first factor and a panel of the second at a time.
    opened.push(await DenseProducts.open(2, { left: 3000, right: 3000, out: 3000 }))
    expectPlain({ rows: 30, depth: 90, columns: 150, transposed })
  })

  test('sums of no terms are zero', () => {
    const out = Float32Array.of(1, 2)
    opened[0].multiply(new Float32Array(0), new Float32Array(0), out, { rows: 1, depth: 0, columns: 2, transposed: false })
    expect([...out]).toEqual([0, 0])
  })

  test('rows of many chunks', () => {
    expectPlain({ rows: 1030, depth: 17, columns: 130, transposed: false })
  })

  test('an infinite factor stays within its row and column', () => {
    const shape = { rows: 6, depth: 70, columns: 10, transposed: false }
    const a = random(shape.rows * shape.depth, 3)
    const b = random(shape.depth * shape.columns, 4)
    a[2 * shape.depth + 5] = Number.POSITIVE_INFINITY
    const out = new Float32Array(shape.rows * shape.columns)
    opened[1].multiply(a, b, out, shape)
    expect(Array.from(out.keys()).filter((i) => !Number.isFinite(out[i]))).toEqual(Array.from({ length: 10 }, (_, j) => 20 + j))
  })
})
