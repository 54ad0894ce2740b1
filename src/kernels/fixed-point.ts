import { productColumns } from './tiles.ts'

/** The largest value: its upper half is the largest 16-bit integer, its lower half is empty. */
const MOST = 32_767 * 32_768

/** The largest size among elements; NaN where one is no finite number. */
function largestSize(x: Float32Array): number {
  let most = 0
  for (let i = 0; i < x.length; i++) {
    const size = Math.abs(x[i])
    if (size > most) most = size
    else if (Number.isNaN(size)) return Number.NaN
  }
  return most < Number.POSITIVE_INFINITY ? most : Number.NaN
}

/**
 * x as whole multiples of the unit that is given back: 30 bits and a sign, more than a float32 has next to the largest element, and its sums
 * with codes are exact. An element v stands as v >> 15, which fits 16 bits with its sign, and v & 32767: for each block of columns the upper
 * halves and then the lower ones, the last block padded with zeros. `split`: in each block those of even places come first, as codes of four
 * bits are unpacked. The unit is NaN where an element is not finite.
 */
export function fixedPoint(x: Float32Array, out: Int16Array, split: boolean): number {
  const most = largestSize(x)
  const factor = most > 0 ? MOST / most : 0
  const half = productColumns / 2
  out.fill(0)
  for (let i = 0; i < x.length; i++) {
    const place = i % productColumns
    const at = 2 * (i - place) + (split ? (place >> 1) + (place & 1) * half : place)
    const value = (x[i] * factor) | 0
    out[at] = value >> 15
    out[at + productColumns] = value & 32_767
  }
  return Math.fround(most / MOST)
}
