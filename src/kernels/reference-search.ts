import { roundHalfEven } from '../numerics/round.ts'
import type { SearchInput } from './kernels.ts'
import { powerOf } from './power.ts'

const { fround } = Math

/** `Kernels.searchScales` in plain TypeScript, of checked input. */
export function searchScales(input: SearchInput): Int32Array {
  const { rows, columns, weight, groupSize, importance, candidates, scale, zeroPoint, signed, min, max, norm } = input
  const power = powerOf(norm)
  const groups = columns / groupSize
  const index = new Int32Array(rows * groups)
  for (let at = 0; at < index.length; at++) {
    const column = (at % groups) * groupSize
    const from = Math.floor(at / groups) * columns + column
    let least = Infinity
    for (let k = 0; k < (signed ? 2 : 1) * candidates; k++) {
      const tried = at * candidates + (k % candidates)
      const s = k < candidates ? scale[tried] : -scale[tried]
      const z = zeroPoint?.[tried] ?? 0
      let sum = 0
      for (let j = 0; j < groupSize; j++) {
        const w = weight[from + j]
        const q = roundHalfEven(Math.min(Math.max(fround(fround(w / s) + z), min), max))
        const e = Math.abs(fround(w - fround(fround(q - z) * s)))
        sum = fround(sum + fround(power(e) * (importance?.[column + j] ?? 1)))
      }
      if (sum < least) {
        least = sum
        index[at] = k
      }
    }
  }
  return index
}
