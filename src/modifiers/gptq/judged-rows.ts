/** Rows of a weight that stand for all of them. */
export interface JudgedRows {
  /** Rising. */
  readonly rows: Int32Array
  /** For how many rows each of them stands, itself among them. */
  readonly counts: Float32Array
}

/** Rows that are judged at the most: half of them those with the largest outputs, half spread over the others. */
const MOST = 256

/** All rows of a weight, each for itself. */
export function allRows(count: number): JudgedRows {
  return { rows: Int32Array.from({ length: count }, (_, row) => row), counts: new Float32Array(count).fill(1) }
}

/**
 * Rows of a weight [count, columns] by which sums over all rows are estimated: all of them would take as long as the sweep. `meanSquare`: of the
 * inputs, [columns]. A few rows can have nearly all of the squared outputs (those that write large activations into the residual stream), so
 * the largest stand for themselves, by Σ w² E[x²], and what is left is sampled.
 */
export function judgedRows(weight: Float32Array, count: number, meanSquare: Float32Array): JudgedRows {
  if (count <= MOST) return allRows(count)
  const outputs = rowOutputs(weight, count, meanSquare)
  const bySize = Int32Array.from(outputs.keys()).sort((a, b) => outputs[b] - outputs[a] || a - b)
  const counts = new Float32Array(count)
  for (const row of bySize.subarray(0, MOST / 2)) counts[row] = 1
  // In the order of their outputs, so that rows of all sizes are among them.
  const others = bySize.subarray(MOST / 2)
  for (let i = 0; i < MOST / 2; i++) {
    const from = Math.floor((i * others.length) / (MOST / 2))
    const to = Math.floor(((i + 1) * others.length) / (MOST / 2))
    if (to > from) counts[others[(from + to) >> 1]] = to - from
  }
  const rows = Int32Array.from(counts.keys()).filter((row) => counts[row] > 0)
  return { rows, counts: Float32Array.from(rows, (row) => counts[row]) }
}

/** Σ w² E[x²] of each row: its mean squared output if inputs were independent. */
function rowOutputs(weight: Float32Array, count: number, meanSquare: Float32Array): Float32Array {
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
