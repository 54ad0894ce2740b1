import type { Quantized } from '../checkpoint/layouts/layout.ts'
import { BINS, histogram } from '../report/histogram.ts'
import type { WeightStatistics } from '../report/statistics.ts'
import { dequantizeRows } from '../schemes/quantize.ts'

/** Weights that are looked at of a linear, rows spread over the matrix: enough for 150 bins. All would take a quarter of plain rounding's time. */
const COUNTED = 2 ** 14

/** How the weights [rows, columns] of a linear lie, and those that a server computes with instead. */
export function weightStatistics(name: string, weight: Float32Array, quantized: Quantized): WeightStatistics {
  const { rows, columns } = quantized
  const step = Math.min(rows, Math.max(1, Math.ceil(weight.length / COUNTED)))
  const [min, max] = extremes(weight, columns, step)
  const dequantized = dequantizeRows(quantized, step === 1 ? null : Int32Array.from({ length: Math.ceil(rows / step) }, (_, i) => i * step))
  const [lowest, highest] = extremes(dequantized, columns, 1)
  const [low, high] = widened(Math.min(min, lowest), Math.max(max, highest))
  return {
    name,
    min,
    max,
    low,
    high,
    counted: dequantized.length,
    total: weight.length,
    before: [...histogram(weight, { low, high, bins: BINS, columns, step })],
    after: [...histogram(dequantized, { low, high, bins: BINS })],
  }
}

/** Smallest and largest value of every `step`-th row. */
function extremes(values: Float32Array, columns: number, step: number): [number, number] {
  let min = values[0]
  let max = min
  for (let start = 0; start < values.length; start += step * columns) {
    const end = start + columns
    for (let i = start; i < end; i++) {
      const value = values[i]
      if (value < min) min = value
      else if (value > max) max = value
    }
  }
  return [min, max]
}

/** Weights that are all alike still have a bin to lie in. */
function widened(low: number, high: number): [number, number] {
  if (low < high) return [low, high]
  const half = Math.abs(low) / 2 || 0.5
  return [low - half, high + half]
}
