/**
 * A seeded generator of uniform 32-bit integers: the same seed gives the same sequence on every machine.
 * Splitmix32, the 32-bit form of Steele, Lea and Flood's SplitMix (OOPSLA 2014).
 */
export function seededUint32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + GOLDEN) >>> 0
    return mixed(state)
  }
}

const GOLDEN = 0x9e3779b9

function mixed(state: number): number {
  let z = state
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
  return (z ^ (z >>> 15)) >>> 0
}

/** The draw number `index` of `seededUint32(seed)`, without those before it. */
export function drawAt(seed: number, index: number): number {
  return mixed((seed + Math.imul(GOLDEN, index + 1)) >>> 0)
}

/** An integer in [0, bound) without bias: draws above the largest multiple of `bound` are thrown away. `bound` in 1 .. 2^32. */
function below(next: () => number, bound: number): number {
  const limit = 2 ** 32 - (2 ** 32 % bound)
  let draw = next()
  while (draw >= limit) draw = next()
  return draw % bound
}

/** `count` different integers of 0 .. total - 1 in random order (Fisher-Yates, stopped after `count`); all of them when count >= total. */
export function sampleIndices(total: number, count: number, seed: number): Int32Array {
  const next = seededUint32(seed)
  const order = Int32Array.from({ length: total }, (_, i) => i)
  const taken = Math.min(count, total)
  for (let i = 0; i < taken; i++) {
    const j = i + below(next, total - i)
    const swap = order[i]
    order[i] = order[j]
    order[j] = swap
  }
  return order.slice(0, taken)
}
