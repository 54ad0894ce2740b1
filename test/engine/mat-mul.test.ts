import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { matMul } from '../../src/engine/mat-mul.ts'
import { engines, random, useEngine } from './engines.ts'

type Matrix = { values: Float32Array; rows: number; columns: number }

/** a·b in float64, element by element. */
function product(a: Matrix, b: Matrix): Float64Array {
  const out = new Float64Array(a.rows * b.columns)
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.columns; j++) {
      let sum = 0
      for (let k = 0; k < a.columns; k++) sum += a.values[i * a.columns + k] * b.values[k * b.columns + j]
      out[i * b.columns + j] = sum
    }
  }
  return out
}

function transposed({ values, rows, columns }: Matrix): Matrix {
  return { values: values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]), rows: columns, columns: rows }
}

const matrix = (rows: number, columns: number, seed: number): Matrix => ({ values: random(rows * columns, seed), rows, columns })
const tensor = ({ values, rows, columns }: Matrix) => tf.tensor2d(values, [rows, columns])

/** Equal up to the rounding of a float32 sum of `terms` products of numbers up to 1. */
function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, terms: number): void {
  expect(actual.length).toBe(expected.length)
  let worst = 0
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(actual[i] - expected[i]))
  expect(worst).toBeLessThan(terms * 2 ** -23)
}

describe.each(engines)('on %s', (engine) => {
  useEngine(engine)
  let before: number
  beforeEach(() => {
    before = tf.memory().numTensors
  })
  afterEach(() => {
    expect(tf.memory().numTensors).toBe(before)
  })

  describe('matMul', () => {
    const a = matrix(23, 41, 1)
    const b = matrix(41, 17, 2)
    it('refuses matrices that do not fit', () => {
      expect(() => tf.tidy(() => matMul(tensor(a), tensor(a)))).toThrow()
    })

    it('gives an output for which the memory of the wasm backend has to grow', () => {
      const [tall, wide] = [matrix(2500, 3, 3), matrix(3, 2500, 4)]
      const actual = tf.tidy(() => matMul(tensor(tall), tensor(wide)).dataSync())
      expectClose(actual, product(tall, wide), 3)
    })

    it.each([
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ])('agrees with a float64 product (transposeA %s, transposeB %s)', (transposeA, transposeB) => {
      const actual = tf.tidy(() => {
        return matMul(tensor(transposeA ? transposed(a) : a), tensor(transposeB ? transposed(b) : b), transposeA, transposeB).dataSync()
      })
      expectClose(actual, product(a, b), a.columns)
    })

    it.each([
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ])('multiplies batches matrix by matrix (transposeA %s, transposeB %s)', (transposeA, transposeB) => {
      const pairs = Array.from({ length: 6 }, (_, i) => ({ left: matrix(7, 19, 10 + i), right: matrix(19, 5, 20 + i) }))
      const actual = tf.tidy(() => {
        const lefts = tf.stack(pairs.map(({ left }) => tensor(transposeA ? transposed(left) : left)))
        const rights = tf.stack(pairs.map(({ right }) => tensor(transposeB ? transposed(right) : right)))
        const out = matMul(
          tf.reshape(lefts, [2, 3, ...lefts.shape.slice(1)]),
          tf.reshape(rights, [2, 3, ...rights.shape.slice(1)]),
          transposeA,
          transposeB,
        )
        expect(out.shape).toEqual([2, 3, 7, 5])
        return out.dataSync()
      })
      const expected = pairs.flatMap(({ left, right }) => [...product(left, right)])
      expectClose(actual, expected, 19)
    })

    it('multiplies a batch with one matrix', () => {
      const [left, right] = [matrix(12, 19, 3), matrix(5, 19, 4)]
      const actual = tf.tidy(() => {
        const out = matMul(tf.reshape(tensor(left), [3, 4, 19]), tensor(right), false, true)
        expect(out.shape).toEqual([3, 4, 5])
        return out.dataSync()
      })
      expectClose(actual, product(left, transposed(right)), 19)
    })

    it('repeats one matrix of a batch of one', () => {
      const [left, right] = [matrix(12, 19, 5), matrix(19, 5, 6)]
      const actual = tf.tidy(() => matMul(tf.reshape(tensor(left), [3, 4, 19]), tf.reshape(tensor(right), [1, 19, 5])).dataSync())
      expectClose(actual, product(left, right), 19)
    })
  })
})
