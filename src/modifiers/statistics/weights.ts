import type { Linear } from '../modifier.ts'

/** max |W| of every input channel [columns], over all linears of a stage. */
export function largestWeights(linears: Iterable<Linear>): Float32Array {
  const all = [...linears]
  const largest = new Float32Array(all[0].columns)
  for (const { weight, rows, columns } of all) {
    for (let row = 0; row < rows; row++) {
      const base = row * columns
      for (let c = 0; c < columns; c++) largest[c] = Math.max(largest[c], Math.abs(weight[base + c]))
    }
  }
  return largest
}
