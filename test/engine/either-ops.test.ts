import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { isBfloat16, toBfloat16, toFloat32 } from '../../src/engine/bfloat16.ts'
import * as either from '../../src/engine/either-ops.ts'
import { quickMatMul } from '../../src/engine/mat-mul.ts'
import { openEngine } from '../../src/engine/open.ts'
import { softmax } from '../../src/engine/softmax.ts'
import { swish } from '../../src/engine/swish.ts'
import { attend } from '../../src/models/parts/attend.ts'
import { causalMask, rotaryTables } from '../../src/models/parts/tables.ts'
import { readRope } from '../../src/models/rope.ts'
import { roundBf16 } from '../../src/numerics/bf16.ts'
import { hasBfloat16, random } from './engines.ts'

/** Values in bfloat16, as float32 ones. */
function rounded(length: number, seed: number): Float32Array {
  const values = random(length, seed)
  roundBf16(values)
  return values
}

// The kernels of bfloat16 are there without the instructions, too; oneDNN's are not.
describe.runIf(hasBfloat16)('operations on tensors of float32 or bfloat16', () => {
  beforeAll(async () => {
    await openEngine({ engine: 'native', threads: 2, precision: 'bfloat16' })
  })

  const [x, y] = [rounded(2 * 6 * 10, 1), rounded(2 * 6 * 10, 2)]
  /** What `make` gives of x and y in float32, and of both in bfloat16. */
  function both(make: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor | tf.Tensor[]): { wide: Float32Array; narrow: Float32Array }[] {
    const before = tf.memory().numTensors
    const found = tf.tidy(() => {
      const [a, b] = [x, y].map((values) => tf.tensor3d(values, [2, 6, 10]))
      const wide = [make(a, b)].flat()
      const narrow = [make(toBfloat16(a), toBfloat16(b))].flat()
      expect(narrow.every(isBfloat16)).toBe(true)
      expect(wide.some(isBfloat16)).toBe(false)
      expect(narrow.map(({ shape }) => shape)).toEqual(wide.map(({ shape }) => shape))
      return wide.map((own, i) => ({
        wide: own.dataSync<'float32'>().slice(),
        narrow: toFloat32(narrow[i]).dataSync<'float32'>().slice(),
      }))
    })
    expect(tf.memory().numTensors).toBe(before)
    return found
  }

  it.each<[string, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor | tf.Tensor[]]>([
    ['slice', (a) => either.slice(a, [0, 2, 3], [2, 3, 7])],
    ['split', (a) => either.split(a, [3, 7], 2)],
    ['reshape', (a) => either.reshape(a, [4, 30])],
    ['reshape with a size left open', (a) => either.reshape(a, [-1, 5])],
    ['transpose', (a) => either.transpose(a, [2, 0, 1])],
    ['concat', (a, b) => either.concat([a, b, a], 1)],
    ['add', (a, b) => either.add(a, b)],
    ['add of a float32 tensor that is repeated', (a, b) => either.add(a, tf.slice(toFloat32(b), [0, 0, 0], [1, 6, 10]))],
    ['multiply', (a, b) => either.multiply(a, b)],
  ])('%s: float32 results, rounded', (_, make) => {
    for (const { wide, narrow } of both(make)) {
      roundBf16(wide)
      expect(narrow).toEqual(wide)
    }
  })

  it.each<[string, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor]>([
    ['softmax', (a) => softmax(a)],
    ['swish', (a) => swish(a)],
    ['products of batches', (a, b) => quickMatMul(a, b, false, true)],
  ])('%s: float32 results but for one rounding', (_, make) => {
    for (const { wide, narrow } of both(make))
      for (const [i, value] of wide.entries()) expect(Math.abs(narrow[i] - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8 + 1e-6)
  })

  it('a clone is in bfloat16 like the tensor, and outlives it', () => {
    const a = tf.tidy(() => toBfloat16(tf.tensor1d(x)))
    const clone = tf.clone(a)
    expect(isBfloat16(clone)).toBe(true)
    expect(toBfloat16(clone)).toBe(clone)
    a.dispose()
    const wide = toFloat32(clone)
    expect(wide.dataSync()).toEqual(x)
    tf.dispose([clone, wide])
  })

  it('attention of values in bfloat16 is that of float32 but for roundings, and in bfloat16', () => {
    const shape = { heads: 4, kvHeads: 2, headDim: 8, scale: 8 ** -0.5 }
    const length = 150
    const rope = rotaryTables(readRope({}, shape.headDim))
    const [q, k, v] = [32, 16, 16].map((width, i) => tf.tensor2d(rounded(2 * length * width, i + 5), [2 * length, width]))
    const [cos, sin, mask] = [rope.cos, rope.sin, causalMask()].map((table) => table.make({ start: 0, length, longest: length }))
    const rotation = { cos: cos as tf.Tensor2D, sin: sin as tf.Tensor2D, channels: rope.channels, interleaved: false }
    const attended = (convert: (x: tf.Tensor2D) => tf.Tensor2D, sinks?: tf.Tensor) =>
      tf.tidy(() => {
        const context = { rotation, mask, ...(sinks && { sinks }) }
        const { value } = attend(convert(q), convert(k), convert(v), shape, context, { rows: 2, length }).next([])
        if (!(value instanceof tf.Tensor)) throw new Error('expected no request of the host')
        return value
      })
    const [wide, narrow] = [attended((own) => own), attended(toBfloat16)]
    expect([wide, narrow].map(isBfloat16)).toEqual([false, true])
    const [expected, found] = tf.tidy(() => [wide.dataSync(), toFloat32(narrow).dataSync()])
    // Scores of up to 3 are off by 2^-8 of it: weights by 1 %.
    for (let i = 0; i < expected.length; i++) expect(Math.abs(found[i] - expected[i])).toBeLessThanOrEqual(0.02)
    // With sinks scores are float32.
    const sinks = tf.tensor1d([0, 0, 0, 0])
    const [sunk, alsoSunk] = [attended((own) => own, sinks), attended(toBfloat16, sinks)]
    expect(isBfloat16(alsoSunk)).toBe(false)
    expect(alsoSunk.dataSync()).toEqual(sunk.dataSync())
    tf.dispose([q, k, v, cos, sin, mask, wide, narrow, sinks, sunk, alsoSunk])
  })
})
