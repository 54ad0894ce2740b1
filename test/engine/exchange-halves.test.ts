import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { exchangeHalves } from '../../src/engine/exchange-halves.ts'
import { engines, random, useEngine } from './engines.ts'

describe.each(engines)('exchangeHalves on %s', (engine) => {
  useEngine(engine)

  it.each([[[3, 2]], [[5, 64]], [[2, 3, 256]], [[2, 3, 4, 6]], [[0, 4]]])('exchanges them in %j', (shape) => {
    const columns = shape[shape.length - 1]
    const values = random(
      shape.reduce((size, side) => size * side, 1),
      columns,
    )
    if (values.length > 0) values[1] = Number.POSITIVE_INFINITY
    const before = tf.memory().numTensors
    const { found, foundShape } = tf.tidy(() => {
      const exchanged = exchangeHalves(tf.tensor(values, shape))
      return { found: exchanged.dataSync(), foundShape: exchanged.shape }
    })
    expect(tf.memory().numTensors).toBe(before)
    expect(foundShape).toEqual(shape)
    const half = columns / 2
    expect([...found]).toEqual(Array.from(values, (_, i) => values[i - (i % columns) + (((i % columns) + half) % columns)]))
  })
})
