/** Bins of a histogram of weights. */
export const BINS = 150

/** How some weights lie. */
export interface WeightHistogram {
  /** `original`, `absmax`, `zero-point`, or the checkpoint's folder. */
  readonly name: string
  readonly counts: readonly number[]
  readonly min: number
  readonly max: number
  readonly mean: number
  /** Of the values as a whole population. */
  readonly deviation: number
  /** Mean |value - original|. */
  readonly meanError: number
}

/**
 * The edges [bins + 1] of equal bins over [low, high], as numpy's `histogram_bin_edges` gives them: both ends exact.
 */
export function binEdges(low: number, high: number, bins = BINS): Float64Array {
  const step = (high - low) / bins
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => low + i * step)
  edges[bins] = high
  return edges
}

/**
 * Counts values into equal bins over [low, high], low < high, each closed on its left, the last one on both sides; what lies outside is
 * dropped. The counts are numpy's. Of a matrix [rows, columns] every `step`-th row can be counted alone.
 */
export function histogram(
  values: Float32Array,
  {
    low,
    high,
    bins = BINS,
    columns = values.length,
    step = 1,
  }: { low: number; high: number; bins?: number; columns?: number; step?: number },
): Uint32Array {
  const counts = new Uint32Array(bins)
  const edges = binEdges(low, high, bins)
  const perUnit = bins / (high - low)
  const last = bins - 1
  for (let start = 0; start < values.length; start += step * columns) {
    const end = start + columns
    for (let i = start; i < end; i++) {
      const value = values[i]
      // NaN fails this too.
      if (!(value >= low && value <= high)) continue
      let bin = ((value - low) * perUnit) | 0
      if (bin > last) bin = last
      // The product may round across an edge.
      if (value < edges[bin]) bin--
      else if (bin < last && value >= edges[bin + 1]) bin++
      counts[bin]++
    }
  }
  return counts
}
