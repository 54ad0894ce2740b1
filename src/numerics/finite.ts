import { match } from 'ts-pattern'
import type { FloatDType } from './dtype.ts'
import { viewAs } from './view.ts'

/**
 * Index of the first element of stored floats that is NaN or infinite, -1 when there is none: one whose exponent bits are all set
 * (IEEE 754, 3.4), so nothing is decoded. Errors: RangeError when the bytes hold no whole number of elements.
 */
export function firstNonFinite(bytes: Uint8Array, dtype: FloatDType): number {
  return match(dtype)
    .with('F32', () => firstWith(viewAs(Int32Array, bytes), 0x7f800000))
    .with('F16', () => firstInPairs(viewAs(Uint16Array, bytes), 0x7c00))
    .with('BF16', () => firstInPairs(viewAs(Uint16Array, bytes), 0x7f80))
    .exhaustive()
}

/** The first half of a pair with these exponent bits all set; two halves at a time. */
function firstInPairs(halves: Uint16Array, exponent: number): number {
  const count = halves.byteOffset % 4 === 0 ? halves.length >>> 1 : 0
  const pairs = new Int32Array(halves.buffer, count ? halves.byteOffset : 0, count)
  const pair = firstWith(pairs, exponent | (exponent << 16))
  let i = pair < 0 ? 2 * count : 2 * pair
  while (i < halves.length && (halves[i] & exponent) !== exponent) i++
  return i < halves.length ? i : -1
}

/** Words looked at before it is asked whether one was found: a branch for each would take most of the time. */
const BLOCK = 4096

/**
 * The first word of which a field of `mask` is all ones. Adding one to the lowest bit of such a field carries into the sign bit above it,
 * which the mask has cleared.
 */
function firstWith(words: Int32Array, mask: number): number {
  const ones = mask & ~(mask << 1)
  const signs = (mask << 1) & ~mask
  for (let from = 0; from < words.length; from += BLOCK) {
    const end = Math.min(from + BLOCK, words.length)
    let carries = 0
    for (let i = from; i < end; i++) carries |= (words[i] & mask) + ones
    if ((carries & signs) === 0) continue
    for (let i = from; i < end; i++) if ((((words[i] & mask) + ones) & signs) !== 0) return i
  }
  return -1
}
