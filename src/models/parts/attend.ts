import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { BatchShape, LayerHooks } from '../architecture.ts'
import { softcap } from './activations.ts'
import type { Scope } from './part.ts'
import type { RotaryTables } from './tables.ts'

/** Heads, and what becomes of the scores. */
export interface AttentionShape {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Channels of a value head: `headDim`, unless the model says otherwise. */
  readonly valueDim?: number
  /** Multiplies q kᵀ: 1 / sqrt(headDim) unless the model says otherwise. */
  readonly scale: number
  /** Scores are bent to stay within it. */
  readonly softcap?: number | null
}

/** Rotary positions for the rows at hand. */
export interface Rotation {
  /** [length, channels] */
  readonly cos: Tensor2D
  readonly sin: Tensor2D
  readonly channels: number
  readonly interleaved: boolean
}

/** The tables of a rotation for the rows at hand. */
export function rotationOf({ cos, sin, channels, interleaved }: RotaryTables, scope: Scope): Rotation {
  return { cos: scope.table(cos) as Tensor2D, sin: scope.table(sin) as Tensor2D, channels, interleaved }
}

/** What attention reads beside queries, keys and values. */
export interface AttentionContext {
  /** Null where positions are not rotated. */
  readonly rotation: Rotation | null
  /** Added to the scores: [length, length], or [heads, length, length]. */
  readonly mask: Tensor
  /** [heads] logits that take part in the softmax and mix in nothing. */
  readonly sinks?: Tensor
  /** Done to queries [heads, length, headDim] and keys once they are rotated. */
  readonly afterRotation?: (x: Tensor3D, of: 'queries' | 'keys') => Tensor3D
}

/**
 * Causal softmax attention with grouped queries (arXiv 2305.13245). q [tokens, heads * headDim], k [tokens, kvHeads * headDim], v
 * [tokens, kvHeads * valueDim]; tokens = rows * length. The query heads of a group are stacked under each other, so that keys and values
 * are never repeated: scores are [kvHeads, group * length, length], one row of the batch at a time.
 */
export function attend(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  { heads, kvHeads, headDim, valueDim = headDim, scale, softcap: cap = null }: AttentionShape,
  { rotation, mask, sinks, afterRotation = (x) => x }: AttentionContext,
  { rows, length }: BatchShape,
  { cache = (keys, values) => [keys, values] }: LayerHooks = {},
): Tensor2D {
  const group = heads / kvHeads
  const outputs = Array.from({ length: rows }, (_, row) =>
    tf.tidy(() => {
      const split = (x: Tensor2D, count: number): Tensor3D =>
        tf.transpose(tf.reshape(tf.slice(x, [row * length, 0], [length, x.shape[1]]), [length, count, -1]), [1, 0, 2])
      const turned = (x: Tensor3D) => (rotation ? rotate(x, rotation) : x)
      const queries = tf.mul(afterRotation(turned(split(q, heads)), 'queries'), scale)
      const [keys, values] = cache(afterRotation(turned(split(k, kvHeads)), 'keys'), split(v, kvHeads))
      const scores = matMul(tf.reshape(queries, [kvHeads, group * length, headDim]), keys, false, true)
      const weights = softmaxWithSinks(tf.add(softcap(tf.reshape(scores, [heads, length, length]), cap), mask), sinks)
      const mixed = matMul(tf.reshape(weights, [kvHeads, group * length, length]), values)
      const joined = tf.transpose(tf.reshape(mixed, [heads, length, valueDim]), [1, 0, 2])
      return tf.reshape(joined, [length, heads * valueDim]) as Tensor2D
    }),
  )
  const joined = outputs.length === 1 ? outputs[0] : tf.concat(outputs, 0)
  if (outputs.length > 1) tf.dispose(outputs)
  return joined
}

/** Softmax of the scores [heads, length, length], with one more logit a head where there are sinks (arXiv 2309.17453). */
function softmaxWithSinks(scores: Tensor3D, sinks: Tensor | undefined): Tensor3D {
  if (!sinks) return tf.softmax(scores)
  const [heads, length] = scores.shape
  const extra = tf.tile(tf.reshape(sinks, [heads, 1, 1]), [1, length, 1])
  return tf.slice(tf.softmax(tf.concat([scores, extra], -1)), [0, 0, 0], scores.shape) as Tensor3D
}

/**
 * RoPE (arXiv 2104.09864) of the first channels: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), x1 and x2 halves apart. Neighbouring
 * pairs are brought into halves and stay there: queries and keys alike, so that their products are the same. x [heads, length, headDim].
 */
function rotate(x: Tensor3D, { cos, sin, channels, interleaved }: Rotation): Tensor3D {
  const [heads, length, headDim] = x.shape
  const part = channels === headDim ? x : tf.slice(x, [0, 0, 0], [heads, length, channels])
  const rotated = rotateHalves(interleaved ? neighboursToHalves(part) : part, cos, sin)
  if (channels === headDim) return rotated
  return tf.concat([rotated, tf.slice(x, [0, 0, channels], [heads, length, headDim - channels])], -1)
}

function rotateHalves(x: Tensor3D, cos: Tensor2D, sin: Tensor2D): Tensor3D {
  const [heads, length, channels] = x.shape
  const half = channels / 2
  const first = tf.slice(x, [0, 0, 0], [heads, length, half])
  const second = tf.slice(x, [0, 0, half], [heads, length, half])
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(second), first], -1), sin))
}

function neighboursToHalves(x: Tensor3D): Tensor3D {
  const [heads, length, channels] = x.shape
  return tf.reshape(tf.transpose(tf.reshape(x, [heads, length, channels / 2, 2]), [0, 1, 3, 2]), x.shape)
}
