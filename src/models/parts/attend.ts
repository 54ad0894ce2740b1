import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { isBfloat16, toBfloat16, toFloat32 } from '../../engine/bfloat16.ts'
import { add, concat, reshape, slice, transpose } from '../../engine/either-ops.ts'
import { exchangeHalves } from '../../engine/exchange-halves.ts'
import { quickMatMul } from '../../engine/mat-mul.ts'
import { softmax } from '../../engine/softmax.ts'
import type { BatchShape, HostRequest, LayerHooks } from '../architecture.ts'
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
  /** Added to the scores: [length, length], or [heads, length, length]. It hides what comes after a query. */
  readonly mask: Tensor
  /** [heads] logits that take part in the softmax and mix in nothing. */
  readonly sinks?: Tensor
  /** Done to queries [rows * heads, length, headDim] and keys once they are rotated. */
  readonly afterRotation?: (x: Tensor3D, of: 'queries' | 'keys') => Tensor3D
}

/**
 * Queries of a row that are scored together, against no key after the last of them: 0.63 of all scores for rows of 512 tokens. On
 * TensorFlow, 4 x 512 tokens with 9 heads of 64: 70 ms; blocks of 256 86 ms, all queries of a row at once 116 ms.
 */
const QUERY_BLOCK = 128

/**
 * Causal softmax attention with grouped queries (arXiv 2305.13245). q [tokens, heads * headDim], k [tokens, kvHeads * headDim], v
 * [tokens, kvHeads * valueDim]; tokens = rows * length. The query heads of a group are stacked under each other, so that keys and values
 * are never repeated: scores are [rows * kvHeads, group * block, keys up to the block's end]. It asks the host where the cache changes what
 * it holds; `keep` outlives that.
 */
export function* attend(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  { heads, kvHeads, headDim, valueDim = headDim, scale, softcap: cap = null }: AttentionShape,
  { rotation, mask, sinks, afterRotation = (x) => x }: AttentionContext,
  batch: BatchShape,
  { observeCache, throughCache, attendCached }: LayerHooks = {},
  keep: readonly Tensor[] = [],
): Generator<HostRequest, Tensor2D, readonly Tensor2D[]> {
  const { rows, length } = batch
  // What a cache, a bend or a penalty by distance does is done in float32.
  const isPlain = cap === null && !sinks && mask.rank === 2 && !observeCache && !throughCache && !attendCached
  const rounds = isPlain && isBfloat16(v)
  const [queries, keys, values] = tf.tidy(() => {
    const asMultiplied = <T extends Tensor>(x: T) => (rounds ? toBfloat16(x) : toFloat32(x))
    const turned = (x: Tensor2D, count: number, of: 'queries' | 'keys') => {
      const own = toFloat32(splitHeads(x, count, rows, length))
      return afterRotation(rotation ? rotate(own, rotation) : own, of)
    }
    return [
      asMultiplied(tf.mul(turned(q, heads, 'queries'), scale)),
      asMultiplied(turned(k, kvHeads, 'keys')),
      asMultiplied(splitHeads(v, kvHeads, rows, length)),
    ] as [Tensor3D, Tensor3D, Tensor3D]
  })
  if (observeCache) tf.tidy(() => byRow(keys, values, rows, observeCache))
  if (attendCached) {
    // Clones of what is not the walk's own: a walker disposes of what was read.
    const reads = [queries, keys, values, tf.clone(mask), ...(sinks ? [tf.clone(sinks)] : [])]
    const shape = { batch, heads, kvHeads, softcap: cap, maskPerHead: mask.rank === 3 }
    const work = ([own, k, v, hidden, extra]: readonly Float32Array[]) => [
      tf.tensor2d(attendCached({ ...shape, queries: own, keys: k, values: v, mask: hidden, sinks: extra ?? null }), [
        rows * length,
        heads * valueDim,
      ]),
    ]
    const [mixed] = yield { read: reads, work, keep, repeatable: true }
    return mixed
  }
  // A table that is cut to the rows' length is of this step, one that is not is of all batches: a clone is the walk's own either way.
  const hiding = throughCache ? tf.clone(mask) : mask
  const cached = throughCache ? yield* fromCache(keys, values, rows, throughCache, [...keep, queries, hiding]) : [keys, values]
  const mixed = tf.tidy(() => {
    const groups = reshape(queries, [rows * kvHeads, heads / kvHeads, length, headDim])
    const [ownKeys, ownValues] = cached
    const blocks: Tensor[] = []
    for (let from = 0; from < length; from += QUERY_BLOCK) {
      const to = Math.min(length, from + QUERY_BLOCK)
      blocks.push(tf.tidy(() => mixBlock(groups, ownKeys, ownValues, from, to, { rows, heads, cap, mask: hiding, sinks })))
    }
    const joined = reshape(blocks.length === 1 ? blocks[0] : concat(blocks, 2), [rows, heads, length, valueDim])
    return reshape<Tensor2D>(transpose(joined, [0, 2, 1, 3]), [rows * length, heads * valueDim])
  })
  tf.dispose([queries, ...cached])
  return mixed
}

/** What the values come to for queries `from` to `to` of each row: [rows * kvHeads, group, to - from, valueDim]. */
function mixBlock(
  queries: Tensor,
  keys: Tensor3D,
  values: Tensor3D,
  from: number,
  to: number,
  { rows, heads, cap, mask, sinks }: { rows: number; heads: number; cap: number | null; mask: Tensor; sinks: Tensor | undefined },
): Tensor {
  const [pairs, group, , headDim] = queries.shape
  const count = to - from
  const block = reshape(slice(queries, [0, 0, from, 0], [pairs, group, count, headDim]), [pairs, group * count, headDim])
  const seen = (x: Tensor3D) => (to === x.shape[1] ? x : slice(x, [0, 0, 0], [pairs, to, x.shape[2]]))
  const scores = softcap(reshape(quickMatMul(block, seen(keys), false, true), [rows, heads, count, to]), cap)
  const start = mask.shape.map(() => 0)
  start[start.length - 2] = from
  const hidden = tf.slice(mask, start, [...mask.shape.slice(0, -2), count, to])
  const weights = softmaxWithSinks(add(scores, hidden), sinks)
  return reshape(quickMatMul(reshape(weights, [pairs, group * count, to]), seen(values)), [pairs, group, count, -1])
}

/** [rows * length, count * channels] as heads, [rows * count, length, channels]. */
function splitHeads(x: Tensor2D, count: number, rows: number, length: number): Tensor3D {
  return reshape(transpose(reshape(x, [rows, length, count, -1]), [0, 2, 1, 3]), [rows * count, length, -1])
}

/** Shows keys and values [rows * kvHeads, length, channels] one row after the other. */
function byRow(keys: Tensor3D, values: Tensor3D, rows: number, show: NonNullable<LayerHooks['observeCache']>): void {
  const rowsOfValues = tf.split<Tensor3D>(values, rows)
  for (const [row, own] of tf.split<Tensor3D>(keys, rows).entries()) show(own, rowsOfValues[row])
}

/** Keys and values [rows * kvHeads, length, channels] as the cache gives them back. */
function* fromCache(
  keys: Tensor3D,
  values: Tensor3D,
  rows: number,
  through: NonNullable<LayerHooks['throughCache']>,
  keep: readonly Tensor[],
): Generator<HostRequest, Tensor3D[], readonly Tensor2D[]> {
  const flat = yield {
    read: [keys, values],
    work: ([k, v]) => [
      tf.tensor2d(through(k, rows, 'keys'), [rows, k.length / rows]),
      tf.tensor2d(through(v, rows, 'values'), [rows, v.length / rows]),
    ],
    keep,
  }
  return [keys, values].map(({ shape }, i) => tf.reshape(flat[i], shape))
}

/** Softmax of the scores [rows, heads, queries, keys], with one more logit a head where there are sinks (arXiv 2309.17453). */
function softmaxWithSinks(scores: Tensor, sinks: Tensor | undefined): Tensor {
  if (!sinks) return softmax(scores)
  const [rows, heads, queries] = scores.shape
  const extra = tf.tile(tf.reshape(sinks, [1, heads, 1, 1]), [rows, 1, queries, 1])
  return tf.slice(softmax(tf.concat([scores, extra], -1)), [0, 0, 0, 0], scores.shape)
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

/** `sin` with the sign of the half it is for. */
function rotateHalves(x: Tensor3D, cos: Tensor2D, sin: Tensor2D): Tensor3D {
  return tf.add(tf.mul(x, cos), tf.mul(exchangeHalves(x), sin))
}

function neighboursToHalves(x: Tensor3D): Tensor3D {
  const [heads, length, channels] = x.shape
  return tf.reshape(tf.transpose(tf.reshape(x, [heads, length, channels / 2, 2]), [0, 1, 3, 2]), x.shape)
}
