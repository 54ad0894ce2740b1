import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { attend } from '../../../src/models/parts/attend.ts'
import { causalMask, rotaryTables } from '../../../src/models/parts/tables.ts'
import { readRope } from '../../../src/models/rope.ts'
import { random, useEngine } from '../../engine/engines.ts'

useEngine('wasm')

const shape = { heads: 4, kvHeads: 2, headDim: 8, scale: 8 ** -0.5 }
const rope = readRope({}, shape.headDim)

/** Softmax attention written out, in double precision, for one row. */
function plainAttention(q: Float32Array, k: Float32Array, v: Float32Array, length: number): Float64Array {
  const { heads, kvHeads, headDim, scale } = shape
  const half = headDim / 2
  const rotated = (x: Float32Array, count: number, token: number, head: number) =>
    Array.from({ length: headDim }, (_, d) => {
      const at = (token * count + head) * headDim
      const angle = token * rope.frequencies(length)[d % half]
      const partner = d < half ? -x[at + d + half] : x[at + d - half]
      return x[at + d] * Math.cos(angle) + partner * Math.sin(angle)
    })
  const out = new Float64Array(length * heads * headDim)
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head / (heads / kvHeads))
    for (let token = 0; token < length; token++) {
      const query = rotated(q, heads, token, head)
      const scores = Array.from({ length: token + 1 }, (_, other) =>
        Math.exp(scale * rotated(k, kvHeads, other, kvHead).reduce((sum, value, d) => sum + value * query[d], 0)),
      )
      const total = scores.reduce((a, b) => a + b, 0)
      scores.forEach((score, other) => {
        for (let d = 0; d < headDim; d++) {
          out[(token * heads + head) * headDim + d] += (score / total) * v[(other * kvHeads + kvHead) * headDim + d]
        }
      })
    }
  }
  return out
}

describe('attend', () => {
  it.each([
    ['rows as long as the tables', 6, 6],
    ['rows shorter than the tables', 6, 11],
    ['rows of two blocks of queries and a part', 270, 270],
  ])('is causal softmax attention with RoPE and grouped heads, for %s', (_, length, tables) => {
    const [q, k, v] = [random(2 * length * 32, 1), random(2 * length * 16, 2), random(2 * length * 16, 3)]
    const { cos, sin, channels, interleaved } = rotaryTables(rope)
    const mask = causalMask()
    const made = [cos, sin, mask].map((table) => table.cut(table.make({ start: 0, length: tables, longest: tables }), length)) as [
      tf.Tensor2D,
      tf.Tensor2D,
      tf.Tensor2D,
    ]
    const context = { rotation: { cos: made[0], sin: made[1], channels, interleaved }, mask: made[2] }
    const x = (values: Float32Array) => tf.tensor2d(values, [2 * length, values.length / (2 * length)])
    const { value: mixed } = attend(x(q), x(k), x(v), shape, context, { rows: 2, length }).next([])
    if (!(mixed instanceof tf.Tensor)) throw new Error('expected no request of the host')
    const found = mixed.dataSync()
    for (const row of [0, 1]) {
      const part = (values: Float32Array) => values.subarray((row * values.length) / 2, ((row + 1) * values.length) / 2)
      plainAttention(part(q), part(k), part(v), length).forEach((value, i) => {
        expect(found[(row * found.length) / 2 + i]).toBeCloseTo(value, 5)
      })
    }
  })
})
