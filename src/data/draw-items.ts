import { seededUint32 } from '../util/rng.ts'

/** A pool this many times what is needed is random enough where parts arrive in random order. */
const POOL = 8

/**
 * A random selection of items, in random order, the same for the same seed: each gets a random key, and those with the smallest keys whose
 * sizes add up to `enough` are kept (bottom-k sampling), so that memory follows what is asked for and not the data. Where parts of the data
 * arrive `shuffled`, it stops reading at eight times that.
 */
export async function drawItems<T>(
  items: AsyncIterable<T>,
  sizeOf: (item: T) => number,
  enough: number,
  seed: number,
  shuffled: boolean,
): Promise<T[]> {
  const next = seededUint32(seed)
  const heap = new LargestFirst<{ key: number; size: number; item: T }>((entry) => entry.key)
  let kept = 0
  let seen = 0
  for await (const item of items) {
    const size = sizeOf(item)
    heap.push({ key: next() * 2 ** 21 + (next() >>> 11), size, item })
    kept += size
    seen += size
    while (heap.largest && kept - heap.largest.size >= enough) kept -= heap.pop()?.size ?? 0
    if (shuffled && seen >= POOL * enough) break
  }
  const drawn = heap.entries.slice().sort((a, b) => a.key - b.key)
  return drawn.map(({ item }) => item)
}

/** A binary heap with the largest key on top. */
class LargestFirst<T> {
  readonly entries: T[] = []
  readonly #key: (entry: T) => number

  constructor(key: (entry: T) => number) {
    this.#key = key
  }

  get largest(): T | undefined {
    return this.entries[0]
  }

  push(entry: T): void {
    const { entries } = this
    let at = entries.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#key(entries[parent]) >= this.#key(entry)) break
      entries[at] = entries[parent]
      at = parent
    }
    entries[at] = entry
  }

  pop(): T | undefined {
    const { entries } = this
    const top = entries[0]
    const last = entries.pop()
    if (last === undefined || entries.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && this.#key(entries[child + 1]) > this.#key(entries[child])) child++
      if (this.#key(entries[child]) <= this.#key(last)) break
      entries[at] = entries[child]
      at = child
    }
    entries[at] = last
    return top
  }
}
