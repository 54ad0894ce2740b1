const WORDS = 624
const SHIFT = 397

/**
 * Python's `random.Random(seed)`, as far as drawing a sample needs it: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by
 * `init_by_array` as CPython does for an int. The same seed draws the same items as Python does.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(WORDS)
  #at = WORDS

  /** `seed`: a whole number from 0 to 2^32 - 1. */
  constructor(seed: number) {
    const state = this.#state
    seedState(state, 19650218)
    let i = 1
    for (let k = 0; k < WORDS; k++) {
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1664525)) + seed
      i = nextIndex(state, i)
    }
    for (let k = 0; k < WORDS - 1; k++) {
      state[i] = (state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1566083941)) - i
      i = nextIndex(state, i)
    }
    state[0] = 0x80000000
  }

  /** `random.sample(range(total), count)`. Errors: RangeError for more than there are. */
  sample(total: number, count: number): number[] {
    if (count > total) throw new RangeError(`Cannot draw ${count} different items: there are ${total}`)
    // CPython takes a pool where a set of what is drawn already would be larger than a list of all.
    const setSize = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0)
    return total <= setSize ? this.#fromPool(total, count) : this.#fromSet(total, count)
  }

  #fromPool(total: number, count: number): number[] {
    const pool = Array.from({ length: total }, (_, i) => i)
    return Array.from({ length: count }, (_, i) => {
      const j = this.#below(total - i)
      const drawn = pool[j]
      pool[j] = pool[total - i - 1]
      return drawn
    })
  }

  #fromSet(total: number, count: number): number[] {
    const drawn = new Set<number>()
    while (drawn.size < count) drawn.add(this.#below(total))
    return [...drawn]
  }

  /** A whole number in [0, bound), `bound` in 1 to 2^32 - 1: as many high bits as the bound has, until they are below it. */
  #below(bound: number): number {
    const unused = Math.clz32(bound)
    let draw = this.#next() >>> unused
    while (draw >= bound) draw = this.#next() >>> unused
    return draw
  }

  #next(): number {
    if (this.#at === WORDS) this.#twist()
    let y = this.#state[this.#at++]
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #twist(): void {
    const state = this.#state
    for (let k = 0; k < WORDS; k++) {
      const y = (state[k] & 0x80000000) | (state[(k + 1) % WORDS] & 0x7fffffff)
      state[k] = state[(k + SHIFT) % WORDS] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.#at = 0
  }
}

function seedState(state: Uint32Array, seed: number): void {
  state[0] = seed
  for (let i = 1; i < WORDS; i++) state[i] = Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), 1812433253) + i
}

function nextIndex(state: Uint32Array, i: number): number {
  if (i + 1 < WORDS) return i + 1
  state[0] = state[WORDS - 1]
  return 1
}
