/** Rows of a weight that stand for all of them. */
export interface JudgedRows {
  /** Rising. */
  readonly rows: Int32Array
  /** For how many rows each of them stands, itself among them. */
  readonly counts: Float32Array
}

/** Rows that are judged at the most: half of them the largest, half spread over the others. */
const MOST = 256

/** All rows of a weight, each for itself. */
export function allRows(count: number): JudgedRows {
  return { rows: Int32Array.from({ length: count }, (_, row) => row), counts: new Float32Array(count).fill(1) }
}

/**
 * Rows by which sums over all `count` rows of a weight are estimated: all of them would take as long as the sweep. A few rows can have nearly all
 * of such a sum (those that write large activations into the residual stream), so the largest by each of `sizes` [count] stand for themselves,
 * and what is left is sampled. On SmolLM2-135M relative errors of outputs are within 10 % of those by all rows, most within 1 %, where one row
 * in four had been off by as much as fifteen times.
 */
export function judgedRows(count: number, sizes: readonly Float32Array[]): JudgedRows {
  if (count <= MOST) return allRows(count)
  const counts = new Float32Array(count)
  for (const size of sizes) {
    // Those that another has chosen are passed over.
    const largest = byFallingSize(size).filter((row) => counts[row] === 0)
    for (const row of largest.subarray(0, MOST / 2 / sizes.length)) counts[row] = 1
  }
  // In the order of the first size, so that rows of all sizes are among them.
  const others = byFallingSize(sizes[0]).filter((row) => counts[row] === 0)
  for (let i = 0; i < MOST / 2; i++) {
    const from = Math.floor((i * others.length) / (MOST / 2))
    const to = Math.floor(((i + 1) * others.length) / (MOST / 2))
    counts[others[(from + to) >> 1]] = to - from
  }
  const rows = Int32Array.from(counts.keys()).filter((row) => counts[row] > 0)
  return { rows, counts: Float32Array.from(rows, (row) => counts[row]) }
}

function byFallingSize(size: Float32Array): Int32Array {
  return Int32Array.from(size.keys()).sort((a, b) => size[b] - size[a] || a - b)
}

/**
 * Σ w² E[x²] of each row of a weight [count, columns], `meanSquare` [columns] that of the inputs: the mean squared output if inputs were
 * independent.
 */
export function rowOutputs(weight: Float32Array, count: number, meanSquare: Float32Array): Float32Array {
  const columns = meanSquare.length
  const outputs = new Float32Array(count)
  for (let row = 0, at = 0; row < count; row++, at += columns) {
    let sum = 0
    for (let j = 0; j < columns; j++) {
      const w = weight[at + j]
      sum += w * w * meanSquare[j]
    }
    outputs[row] = sum
  }
  return outputs
}
