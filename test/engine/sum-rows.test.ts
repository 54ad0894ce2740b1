import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { sumRows } from '../../src/engine/sum-rows.ts'
import { engines, random, useEngine } from './engines.ts'

describe.each(engines)('sumRows on %s', (engine) => {
  useEngine(engine)

  it.each([
    [1, 1],
    [7, 1],
    [1, 5],
    [130, 67],
    [2048, 33],
  ])('adds up each column of %i rows of %i', (rows, columns) => {
    const values = random(rows * columns, rows)
    const before = tf.memory().numTensors
    const sums = tf.tidy(() => sumRows(tf.tensor2d(values, [rows, columns])).dataSync())
    expect(tf.memory().numTensors).toBe(before)
    const expected = new Float64Array(columns)
    for (const [i, value] of values.entries()) expected[i % columns] += value
    expect(sums.length).toBe(columns)
    for (const [j, sum] of sums.entries()) expect(Math.abs(sum - expected[j])).toBeLessThan(rows * 2 ** -23)
  })

  it('is zero without rows', () => {
    expect([...tf.tidy(() => sumRows(tf.zeros([0, 3])).dataSync())]).toEqual([0, 0, 0])
  })

  it('leaves what is not finite in its column', () => {
    const x = [1, 2, Number.NaN, 4, Number.POSITIVE_INFINITY, 6]
    const sums = tf.tidy(() => sumRows(tf.tensor2d(x, [2, 3])).dataSync())
    expect([...sums]).toEqual([5, Number.POSITIVE_INFINITY, Number.NaN])
  })
})
