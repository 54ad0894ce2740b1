import type { CachedStep } from '../../models/architecture.ts'
import { fakeQuantizeCache } from '../fake-quantize.ts'
import type { ServedCache } from '../served-cache.ts'

/** Scores below it come from a mask, which adds -1e9. */
const HIDDEN = -1e8

/**
 * Keys and values of one layer for rows that grow together, as a server would hold them: float32, or what a quantized cache gives back of
 * them. Attention of a new token is plain loops: it reads each key and each value once, and no tensor library is quicker at that.
 */
export class KeyValueCache {
  readonly #served: ServedCache | null
  /** Key-value heads of all rows. */
  readonly #heads: number
  readonly #capacity: number
  readonly #stored: Record<'keys' | 'values', Float32Array> = { keys: new Float32Array(0), values: new Float32Array(0) }
  #length = 0

  /** For `rows` rows of up to `capacity` tokens. */
  constructor(rows: number, kvHeads: number, capacity: number, served: ServedCache | null) {
    this.#heads = rows * kvHeads
    this.#capacity = capacity
    this.#served = served
  }

  /** Takes in the keys or values [rows, kvHeads * length * channels] of the rows' first tokens, and gives what the cache makes of them. */
  fill(x: Float32Array, rows: number, of: 'keys' | 'values', length: number): Float32Array {
    const taken = this.#quantized(x, rows, of)
    this.#append(taken, of, length)
    return taken
  }

  /** Keeps the last `length` tokens that were taken in: until then they can be taken in again. */
  advance(length: number): void {
    this.#length += length
  }

  /** As `LayerHooks.attendCached`. */
  attend(step: CachedStep): Float32Array {
    const { queries, sinks, mask, maskPerHead, softcap, heads, kvHeads } = step
    const { rows, length } = step.batch
    this.#append(this.#quantized(step.keys, rows, 'keys'), 'keys', length)
    this.#append(this.#quantized(step.values, rows, 'values'), 'values', length)
    const seen = this.#length + length
    const { keys, values } = this.#stored
    const headDim = keys.length / this.#heads / this.#capacity
    const valueDim = values.length / this.#heads / this.#capacity
    const group = heads / kvHeads
    const out = new Float32Array(rows * length * heads * valueDim)
    const weights = new Float32Array(seen)
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < heads; head++) {
        const kv = row * kvHeads + Math.floor(head / group)
        const k = kv * this.#capacity * headDim
        const v = kv * this.#capacity * valueDim
        for (let token = 0; token < length; token++) {
          const q = ((row * heads + head) * length + token) * headDim
          const hidden = (maskPerHead ? head * length + token : token) * seen
          const first = score(weights, queries, q, keys, k, headDim, mask, hidden, softcap)
          softmax(weights, first, sinks ? sinks[head] : Number.NEGATIVE_INFINITY)
          mix(out, ((row * length + token) * heads + head) * valueDim, weights, first, values, v, valueDim)
        }
      }
    }
    return out
  }

  #quantized(x: Float32Array, rows: number, of: 'keys' | 'values'): Float32Array {
    if (!this.#served) return x
    const { args, k, v } = this.#served
    return fakeQuantizeCache(x, rows, args, of === 'keys' ? k : v)
  }

  /** x [heads, length, channels] after what is there. */
  #append(x: Float32Array, of: 'keys' | 'values', length: number): void {
    const channels = x.length / this.#heads / length
    if (this.#stored[of].length === 0) this.#stored[of] = new Float32Array(this.#heads * this.#capacity * channels)
    const size = length * channels
    for (let head = 0; head < this.#heads; head++) {
      const at = (head * this.#capacity + this.#length) * channels
      this.#stored[of].set(x.subarray(head * size, (head + 1) * size), at)
    }
  }
}

/** Scores of one query against the keys from `k` on into `weights`, the mask added; gives the first key that the mask does not hide. */
function score(
  weights: Float32Array,
  queries: Float32Array,
  q: number,
  keys: Float32Array,
  k: number,
  channels: number,
  mask: Float32Array,
  hidden: number,
  cap: number | null,
): number {
  let first = 0
  while (first < weights.length - 1 && mask[hidden + first] < HIDDEN) first++
  for (let i = first, at = k + first * channels; i < weights.length; i++, at += channels) {
    let [a, b, c, d] = [0, 0, 0, 0]
    let j = 0
    for (; j + 4 <= channels; j += 4) {
      a += queries[q + j] * keys[at + j]
      b += queries[q + j + 1] * keys[at + j + 1]
      c += queries[q + j + 2] * keys[at + j + 2]
      d += queries[q + j + 3] * keys[at + j + 3]
    }
    for (; j < channels; j++) a += queries[q + j] * keys[at + j]
    const sum = a + b + (c + d)
    weights[i] = (cap === null ? sum : cap * Math.tanh(sum / cap)) + mask[hidden + i]
  }
  return first
}

/** Softmax of the scores from `first` on, in place, with one more of `sink`, which mixes in nothing (arXiv 2309.17453). */
function softmax(scores: Float32Array, first: number, sink: number): void {
  let largest = sink
  for (let i = first; i < scores.length; i++) if (scores[i] > largest) largest = scores[i]
  let sum = Math.exp(sink - largest)
  for (let i = first; i < scores.length; i++) {
    const weight = Math.exp(scores[i] - largest)
    scores[i] = weight
    sum += weight
  }
  for (let i = first; i < scores.length; i++) scores[i] /= sum
}

/** Adds the values from `v` on, each times its weight, to zeros at `at`. */
function mix(out: Float32Array, at: number, weights: Float32Array, first: number, values: Float32Array, v: number, channels: number): void {
  for (let i = first; i < weights.length; i++) {
    const weight = weights[i]
    const from = v + i * channels
    for (let j = 0; j < channels; j++) out[at + j] += weight * values[from + j]
  }
}
