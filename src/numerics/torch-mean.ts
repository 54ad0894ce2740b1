/** Lanes of the vectors, and vectors side by side, that torch sums with on x86-64. */
const LANES = 8
const SIDE_BY_SIDE = 4
/** Levels of partial sums. */
const LEVELS = 4

/**
 * The mean of float32 values to the bit of torch's `mean` on an x86-64 CPU with one thread (aten's SumKernel: `cascade_sum`): sums of short
 * runs, summed level by level, all in float32. With several threads torch cuts more than 32768 values into parts, and its last bit
 * depends on their number.
 */
export function torchMean(values: Float32Array): number {
  const width = values.length < LANES ? 1 : LANES
  const vectors = Math.floor(values.length / width)
  const lanes = rowSums(values, vectors, width)
  let sum = 0
  for (let i = vectors * width; i < values.length; i++) sum = Math.fround(sum + values[i])
  for (const lane of lanes) sum = Math.fround(sum + lane)
  return Math.fround(sum / values.length)
}

/** [width] sums over the first `vectors` vectors of `width` values. */
function rowSums(values: Float32Array, vectors: number, width: number): Float32Array {
  const columns = SIDE_BY_SIDE * width
  const rows = Math.floor(vectors / SIDE_BY_SIDE)
  const sums = cascade(values, rows, columns)
  for (let i = rows * columns; i < vectors * width; i++) sums[i % width] += values[i]
  for (let i = width; i < columns; i++) sums[i % width] += sums[i]
  return sums.slice(0, width)
}

/** [columns] sums over the first `rows` rows. */
function cascade(values: Float32Array, rows: number, columns: number): Float32Array {
  const power = Math.max(4, Math.floor(Math.ceil(Math.log2(Math.max(1, rows))) / LEVELS))
  const step = 2 ** power
  const levels = Array.from({ length: LEVELS }, () => new Float32Array(columns))
  const addRow = (row: number) => {
    for (let c = 0; c < columns; c++) levels[0][c] += values[row * columns + c]
  }
  let row = 0
  while (row + step <= rows) {
    for (const end = row + step; row < end; row++) addRow(row)
    for (let level = 1; level < LEVELS; level++) {
      for (let c = 0; c < columns; c++) levels[level][c] += levels[level - 1][c]
      levels[level - 1].fill(0)
      if (row % step ** (level + 1) !== 0) break
    }
  }
  for (; row < rows; row++) addRow(row)
  for (let level = 1; level < LEVELS; level++) for (let c = 0; c < columns; c++) levels[0][c] += levels[level][c]
  return levels[0]
}
