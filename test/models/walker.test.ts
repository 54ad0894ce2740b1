import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import type { LayerWalk, StageSpec } from '../../src/models/architecture.ts'
import { Walker } from '../../src/models/walker.ts'
import { useEngine } from '../engine/engines.ts'

useEngine('wasm')

const stage: StageSpec = { name: 'only', linears: ['a'], source: null, addsToResidual: false }

/** Doubles its input, lets the host add one to it, asks for the stage, and adds what it kept. */
function* walk(input: Tensor2D): LayerWalk {
  const doubled = tf.mul<Tensor2D>(input, 2)
  const [more] = yield {
    read: [doubled],
    work: ([values]) => [
      tf.tensor2d(
        values.map((value) => value + 1),
        [1, 2],
      ),
    ],
    keep: [input],
  }
  const [out] = yield { stage, input: more, keep: [input] }
  return tf.add(out, input)
}

describe('Walker', () => {
  test('meets requests of the host between stages, and owns what they give', async () => {
    const before = tf.memory().numTensors
    const input = tf.tensor2d([1, 2], [1, 2])
    const walker = await Walker.start(walk(input), input)
    expect(walker.request.stage).toBe(stage)
    expect([...walker.request.input.dataSync()]).toEqual([3, 5])
    expect(tf.memory().numTensors).toBe(before + 2)
    await walker.answer([tf.mul<Tensor2D>(walker.request.input, 10)])
    expect([...(walker.result?.dataSync() ?? [])]).toEqual([31, 52])
    walker.result?.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  test('disposes of all it owns when the work of the host throws', async () => {
    const before = tf.memory().numTensors
    const input = tf.tensor2d([1, 2], [1, 2])
    function* failing(): LayerWalk {
      yield {
        read: [tf.mul(input, 2)],
        work: () => {
          throw new Error('no luck')
        },
        keep: [input],
      }
      return input
    }
    await expect(Walker.start(failing(), input)).rejects.toThrow('no luck')
    expect(tf.memory().numTensors).toBe(before)
  })
})
