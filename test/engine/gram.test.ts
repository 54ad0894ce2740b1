import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gramBands, quadraticForms, readBands, timesSymmetric } from '../../src/engine/gram.ts'
import { SymmetricMatrix } from '../../src/numerics/symmetric-matrix.ts'
import { engines, random, useEngine } from './engines.ts'

// One band below 512 columns, then one for each 256, four at most; widths need not divide.
const WIDTHS = [32, 255, 511, 512, 577, 770, 1026]
const ROWS = 24

/** xᵀx in float64. */
function product(x: Float32Array, columns: number): Float64Array {
  const out = new Float64Array(columns * columns)
  for (let row = 0; row < ROWS; row++) {
    const at = row * columns
    for (let i = 0; i < columns; i++) for (let j = 0; j < columns; j++) out[i * columns + j] += x[at + i] * x[at + j]
  }
  return out
}

function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let found = 0
  for (let i = 0; i < expected.length; i++) found = Math.max(found, Math.abs(actual[i] - expected[i]))
  return found
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

  it.each(WIDTHS)('bands joined are the transpose times the matrix for %i columns, symmetric to the last bit', async (columns) => {
    const x = random(ROWS * columns, columns)
    const actual = (await readBands(tf.tidy(() => gramBands(tf.tensor2d(x, [ROWS, columns]))))).block(0, columns, 0, columns)
    expect(worst(actual, product(x, columns))).toBeLessThan(2 * ROWS * 2 ** -23)
    let asymmetry = 0
    for (let i = 0; i < columns; i++) for (let j = 0; j < i; j++) asymmetry += Math.abs(actual[i * columns + j] - actual[j * columns + i])
    expect(asymmetry).toBe(0)
  })

  it.each(WIDTHS)('sums of bands are the bands of the sum for %i columns', async (columns) => {
    const parts = [1, 2].map((seed) => random(ROWS * columns, seed))
    const [one, two] = parts.map((x) => tf.tensor2d(x, [ROWS, columns]))
    const actual = (await readBands(gramBands(two, gramBands(one)))).block(0, columns, 0, columns)
    tf.dispose([one, two])
    const [a, b] = parts.map((x) => product(x, columns))
    const sum = a.map((value, i) => value + b[i])
    expect(worst(actual, sum)).toBeLessThan(2 * ROWS * 2 ** -23)
  })

  it.each(WIDTHS)('quadraticForms is e H eᵀ of every row for %i columns', async (n) => {
    const h = Float32Array.from(product(random(ROWS * n, 3), n))
    const e = random(5 * n, 4)
    const [actual, again] = await quadraticForms([e, e.slice()], new SymmetricMatrix([0, n], [h]))
    const expected = Array.from({ length: 5 }, (_, row) => {
      let sum = 0
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += e[row * n + i] * h[i * n + j] * e[row * n + j]
      return sum
    })
    for (let row = 0; row < 5; row++) expect(Math.abs(actual[row] / expected[row] - 1)).toBeLessThan(1e-5)
    expect(again).toEqual(actual)
  })
  it.each([512, 577, 770])('quadraticForms counts what is beyond the diagonal blocks twice, with %i columns in bands', async (n) => {
    const h = Float32Array.from(product(random(ROWS * n, 3), n))
    const x = tf.tensor2d(random(ROWS * n, 3), [ROWS, n])
    const matrix = await readBands(gramBands(x))
    x.dispose()
    expect([...matrix.bands()].length).toBeGreaterThan(1)
    const whole = new SymmetricMatrix([0, n], [h])
    // More than goes to the engine at once, too.
    for (const rows of [5, Math.ceil(2 ** 22 / n) + 3]) {
      const e = random(rows * n, 4)
      const [actual] = await quadraticForms([e], matrix)
      const [expected] = await quadraticForms([e], whole)
      expect(actual.length).toBe(rows)
      for (let row = 0; row < rows; row++) expect(Math.abs(actual[row] / expected[row] - 1)).toBeLessThan(1e-4)
    }
  })
  it.each(WIDTHS)('timesSymmetric is e H of every row for %i columns, and the same where H comes by columns', async (n) => {
    const h = Float32Array.from(product(random(ROWS * n, 3), n))
    const e = random(5 * n, 4)
    const matrix = new SymmetricMatrix([0, n], [h])
    const actual = await timesSymmetric(e, matrix)
    const expected = Float64Array.from(e, (_, at) => {
      const row = Math.floor(at / n) * n
      let sum = 0
      for (let i = 0; i < n; i++) sum += e[row + i] * h[i * n + (at % n)]
      return sum
    })
    expect(worst(actual, expected)).toBeLessThan(1e-3)
    const byColumns = await timesSymmetric(e, matrix, Math.ceil(n / 3))
    expect(worst(byColumns, actual)).toBeLessThan(1e-4)
  })
})
