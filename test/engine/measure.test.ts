import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { measureMatMul } from '../../src/engine/measure.ts'
import { useEngine } from './engines.ts'

describe('measureMatMul', () => {
  useEngine('wasm')

  it('gives a plausible speed and leaves no tensor behind', async () => {
    const before = tf.memory().numTensors
    const gflops = await measureMatMul(128)
    expect(gflops).toBeGreaterThan(0.01)
    expect(gflops).toBeLessThan(1e5)
    expect(tf.memory().numTensors).toBe(before)
  })
})
