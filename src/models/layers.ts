import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../engine/mat-mul.ts'
import type { BatchShape, LayerHooks } from './architecture.ts'
import { type Rope, ropeTables } from './rope.ts'

/** x / rms(x) * weight over the last axis (arXiv 1910.07467). x [tokens, hidden], weight [hidden]. */
export function rmsNorm(x: Tensor2D, weight: Tensor, epsilon: number): Tensor2D {
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon))
  return tf.mul(tf.mul(x, scale), weight)
}

/** x * sigmoid(x), also called swish. */
export function silu(x: Tensor2D): Tensor2D {
  return tf.mul(x, tf.sigmoid(x))
}

/**
 * What attention reads at every layer for rows of any length up to that of the tables. Order matters: `shared` of a model is this array.
 */
export type AttentionTables = readonly [cos: Tensor2D, sin: Tensor2D, mask: Tensor2D]

/** RoPE tables [length, headDim] and the causal mask [length, length] that is added to the scores. */
export function attentionTables(rope: Rope, length: number): AttentionTables {
  const { cos, sin } = ropeTables(rope, length)
  const shape: [number, number] = [length, rope.frequencies.length * 2]
  const mask = new Float32Array(length * length)
  // Large and finite: -Infinity times zero would be NaN in a backend that multiplies masks.
  for (let row = 0; row < length; row++) mask.fill(-1e9, row * length + row + 1, (row + 1) * length)
  return [tf.tensor2d(cos, shape), tf.tensor2d(sin, shape), tf.tensor2d(mask, [length, length])]
}

export interface AttentionShape {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Multiplies q kᵀ: 1 / sqrt(headDim) unless the model says otherwise. */
  readonly scale: number
}

/**
 * Causal softmax attention with RoPE and grouped queries (arXiv 2305.13245). q [tokens, heads * headDim], k and v
 * [tokens, kvHeads * headDim]; tokens = rows * length. The query heads of a group are stacked under each other, so that keys and values
 * are never repeated: scores are [kvHeads, group * length, length], one row of the batch at a time.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  { heads, kvHeads, headDim, scale }: AttentionShape,
  tables: AttentionTables,
  { rows, length }: BatchShape,
  { cache = (keys, values) => [keys, values] }: LayerHooks = {},
): Tensor2D {
  const [cos, sin, mask] = cutTables(tables, length)
  const group = heads / kvHeads
  const outputs = Array.from({ length: rows }, (_, row) =>
    tf.tidy(() => {
      const split = (x: Tensor2D, count: number): Tensor3D =>
        tf.transpose(tf.reshape(tf.slice(x, [row * length, 0], [length, count * headDim]), [length, count, headDim]), [1, 0, 2])
      const queries = tf.mul(rotate(split(q, heads), cos, sin), scale)
      const [keys, values] = cache(rotate(split(k, kvHeads), cos, sin), split(v, kvHeads))
      const scores = matMul(tf.reshape(queries, [kvHeads, group * length, headDim]), keys, false, true)
      const weights = tf.softmax(tf.add(tf.reshape(scores, [heads, length, length]), mask))
      const mixed = matMul(tf.reshape(weights, [kvHeads, group * length, length]), values)
      return tf.reshape(tf.transpose(tf.reshape(mixed, [heads, length, headDim]), [1, 0, 2]), [length, heads * headDim]) as Tensor2D
    }),
  )
  const joined = outputs.length === 1 ? outputs[0] : tf.concat(outputs, 0)
  if (outputs.length > 1) tf.dispose(outputs)
  return joined
}

/** The tables' part for shorter rows: both RoPE and the causal mask of a prefix are a prefix of theirs. */
function cutTables(tables: AttentionTables, length: number): AttentionTables {
  const [cos, sin, mask] = tables
  if (mask.shape[0] === length) return tables
  const rows = (x: Tensor2D) => tf.slice(x, [0, 0], [length, x.shape[1]])
  return [rows(cos), rows(sin), tf.slice(mask, [0, 0], [length, length])]
}

/** RoPE in the half-split form: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). x [heads, length, headDim]. */
function rotate(x: Tensor3D, cos: Tensor2D, sin: Tensor2D): Tensor3D {
  const [heads, length, headDim] = x.shape
  const half = headDim / 2
  const first = tf.slice(x, [0, 0, 0], [heads, length, half])
  const second = tf.slice(x, [0, 0, half], [heads, length, half])
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(second), first], -1), sin))
}
