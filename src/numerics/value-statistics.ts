/** Statistics of the finite values of a tensor, in float64. */
export interface ValueStatistics {
  count: number
  min: number
  max: number
  mean: number
  /** Of the population. */
  std: number
  zeros: number
  nonFinite: number
}

/** Statistics of values; `min` and `max` are NaN where none is finite. */
export function valueStatistics(values: ArrayLike<number>): ValueStatistics {
  let [min, max, sum, squares, zeros, finite] = [Infinity, -Infinity, 0, 0, 0, 0]
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (!Number.isFinite(value)) continue
    finite++
    if (value < min) min = value
    if (value > max) max = value
    if (value === 0) zeros++
    sum += value
    squares += value * value
  }
  if (finite === 0) return { count: values.length, min: NaN, max: NaN, mean: NaN, std: NaN, zeros, nonFinite: values.length }
  const mean = sum / finite
  // Sums of squares lose what is far below the mean's square: weights have means near zero, and others are measured again.
  let std = Math.sqrt(Math.max(0, squares / finite - mean * mean))
  if (std < 1e-3 * Math.abs(mean)) {
    let around = 0
    for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) around += (values[i] - mean) ** 2
    std = Math.sqrt(around / finite)
  }
  return { count: values.length, min, max, mean, std, zeros, nonFinite: values.length - finite }
}
