import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { diagnose } from '../../src/engine/doctor.ts'
import { installNative } from '../../src/engine/native-install.ts'
import { openEngine } from '../../src/engine/open.ts'
import { softmax } from '../../src/engine/softmax.ts'
import { swish } from '../../src/engine/swish.ts'
import { hasNative } from './engines.ts'

describe.runIf(hasNative)('with TensorFlow installed', () => {
  it('openEngine says which TensorFlow it runs on', async () => {
    const engine = await openEngine({ engine: 'native', threads: 2 })
    expect(engine.detail).toMatch(/^TensorFlow 2\.\d+\.\d+, 2 threads$/)
    expect(engine.inverseFactor).toBeTypeOf('function')
  })

  it('openEngine keeps the threads of the first load and says so', async () => {
    expect((await openEngine({ engine: 'native', threads: 1 })).detail).toMatch(/2 threads$/)
  })

  it('openEngine refuses another precision than that of the first load', async () => {
    // On a processor without the instructions that is said first.
    const expected = /TensorFlow is loaded for float32 products in this process|no instructions for them/
    await expect(openEngine({ engine: 'native', precision: 'bfloat16' })).rejects.toThrow(expected)
  })

  it("softmax is TensorFlow's to the last digits, with what a mask hides at 0", async () => {
    await openEngine({ engine: 'native', threads: 2 })
    const before = tf.memory().numTensors
    const scores = tf.tidy(() => {
      const x = tf.mul(tf.randomNormal([2, 3, 40, 33], 0, 1, 'float32', 1), 20)
      return tf.add(x, tf.concat([tf.zeros([40, 20]), tf.fill([40, 13], -1e9)], 1))
    })
    const [found, expected] = [softmax(scores), tf.softmax(scores)]
    expect(found.shape).toEqual([2, 3, 40, 33])
    const [own, theirs] = [found.dataSync(), expected.dataSync()]
    for (let i = 0; i < own.length; i++) {
      if (i % 33 >= 20) expect(own[i]).toBe(0)
      else expect(Math.abs(own[i] - theirs[i])).toBeLessThanOrEqual(1e-6 * theirs[i] + 1e-30)
    }
    tf.dispose([scores, found, expected])
    expect(tf.memory().numTensors).toBe(before)
  })

  it("swish is TensorFlow's to the last digits, also far from 0", async () => {
    await openEngine({ engine: 'native', threads: 2 })
    const before = tf.memory().numTensors
    const shapes = [[0, 7], [1], [3, 5, 7], [40, 33]]
    for (const shape of shapes) {
      const x = tf.tidy(() => tf.mul(tf.randomNormal(shape, 0, 1, 'float32', 1), 20))
      const [found, expected] = [swish(x), tf.tidy(() => tf.mul(x, tf.sigmoid(x)))]
      expect(found.shape).toEqual(shape)
      const [own, theirs] = [found.dataSync(), expected.dataSync()]
      for (let i = 0; i < own.length; i++) expect(Math.abs(own[i] - theirs[i])).toBeLessThanOrEqual(1e-6 * Math.abs(theirs[i]) + 1e-30)
      tf.dispose([x, found, expected])
    }
    const far = tf.tensor1d([-3e38, -200, -88, 0, 88, 200, 3e38])
    const found = swish(far)
    expect([...found.dataSync()].map((y) => Math.round(y))).toEqual([0, 0, 0, 0, 88, 200, Math.fround(3e38)].map((y) => expect.closeTo(y)))
    tf.dispose([far, found])
    expect(tf.memory().numTensors).toBe(before)
  })

  it('installNative finds what is there and builds nothing', async () => {
    const lines: string[] = []
    const { already, tensorflow } = await installNative({ log: (line) => lines.push(line) })
    expect(already).toBe(true)
    expect(lines).toEqual([expect.stringMatching(`^TensorFlow ${tensorflow} is already there: /`)])
  })

  it('diagnose measures the best engine', async () => {
    const { engine, gflops, node } = await diagnose()
    expect(engine).not.toBe('wasm')
    expect(gflops).toBeGreaterThan(0)
    expect(node).toBe(process.version)
  })
})
