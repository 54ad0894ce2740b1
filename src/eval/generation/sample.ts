import { drawAt } from '../../util/rng.ts'

/** How the next token is chosen. */
export interface Sampling {
  /** The most likely token, always; nothing else of this counts then. */
  readonly greedy: boolean
  /** Divides the logits. */
  readonly temperature: number
  /** So many of the most likely tokens; 0 for all. */
  readonly topK: number
  /** The most likely tokens that have this much of the probability together; 1 for all. */
  readonly topP: number
  readonly seed: number
}

/**
 * The token that follows, as transformers chooses it: temperature, then top-k, then top-p. Of what is left one is drawn by adding noise to
 * each logit and taking the largest (the Gumbel trick). The noise of a token depends on the seed, the step and the token alone: checkpoints
 * that are sampled with one seed get the same draws, and part where their probabilities do.
 * Errors: RangeError for logits without a number among them.
 */
export function chooseToken(logits: Float32Array, { greedy, temperature, topK, topP, seed }: Sampling, step: number): number {
  const best = largest(logits)
  if (best < 0) throw new RangeError('Cannot choose a token: no logit is a number')
  if (greedy) return best
  const kept = nucleus(mostLikely(logits, topK), logits, temperature, topP)
  const stepSeed = drawAt(seed, step)
  let chosen = best
  let score = Number.NEGATIVE_INFINITY
  for (const id of kept) {
    // In the open interval from 0 to 1, so that both logarithms are finite.
    const uniform = (drawAt(stepSeed, id) + 0.5) / 2 ** 32
    const own = logits[id] / temperature - Math.log(-Math.log(uniform))
    if (own > score) {
      score = own
      chosen = id
    }
  }
  return chosen
}

/** Index of the largest element, the first of equals; -1 where none is a number. */
function largest(values: Float32Array): number {
  let best = -1
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    if (values[i] > most) {
      most = values[i]
      best = i
    }
  }
  return best
}

/** Tokens whose logit is among the `count` largest, equals of the last included; all for 0. In the order of their ids. */
function mostLikely(logits: Float32Array, count: number): Int32Array {
  const least = count === 0 || count >= logits.length ? Number.NEGATIVE_INFINITY : fromTop(logits, count)
  const ids: number[] = []
  for (let id = 0; id < logits.length; id++) if (logits[id] >= least) ids.push(id)
  return Int32Array.from(ids)
}

/** The `count`-th largest value: a heap of the largest so far, the least of them on top. Sorting a vocabulary would take milliseconds. */
function fromTop(values: Float32Array, count: number): number {
  const heap = new Float32Array(count).fill(Number.NEGATIVE_INFINITY)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (!(value > heap[0])) continue
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const child = left + 1 < count && heap[left + 1] < heap[left] ? left + 1 : left
      if (child >= count || heap[child] >= value) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = value
  }
  return heap[0]
}

/** The most likely of `ids` that have `share` of their probability together, one at least. */
function nucleus(ids: Int32Array, logits: Float32Array, temperature: number, share: number): Int32Array {
  if (share >= 1) return ids
  const sorted = ids.slice().sort((a, b) => logits[b] - logits[a])
  const most = logits[sorted[0]]
  const weights = Float64Array.from(sorted, (id) => Math.exp((logits[id] - most) / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let before = 0
  let count = 0
  while (count < sorted.length && (count === 0 || before < share * total)) before += weights[count++]
  return sorted.subarray(0, count)
}
