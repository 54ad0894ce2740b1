import type { QuantizationScheme } from '../../checkpoint/quantization-config.ts'
import { gridShape } from '../../schemes/grid.ts'
import { largestOf } from '../../schemes/qparams.ts'
import type { Linear } from '../modifier.ts'

/** true: factors from inputs and weights; false: from inputs alone; both: half of the grid each. */
export type DuoScaling = boolean | 'both'

/** One point of the search: how far the factors follow the inputs, and whether they look at the weights too. */
export interface GridPoint {
  readonly ratio: number
  readonly duo: boolean
}

/** The points to try, in llm-compressor's order; the first leaves everything as it is. */
export function gridPoints(duoScaling: DuoScaling, count: number): GridPoint[] {
  const ratios = (steps: number) => Array.from({ length: steps }, (_, i) => i / Math.max(1, steps - 1))
  if (duoScaling === 'both') return ratios(Math.floor(count / 2)).flatMap((ratio) => [false, true].map((duo) => ({ ratio, duo })))
  if (!duoScaling) return ratios(count).map((ratio) => ({ ratio, duo: false }))
  return [{ ratio: 0, duo: false }, ...ratios(count - 1).map((ratio) => ({ ratio, duo: true }))]
}

const LEAST_FACTOR = 1e-4

/**
 * s = max(x̄^r / (w̄^(1-r) + 1e-4), 1e-4), without the divisor where `duo` is off, over the geometric mean of its largest and smallest:
 * the factors of a point per input channel. `inputs`: mean |x|; `weights`: `meanWeights`, all [columns].
 */
export function channelFactors({ ratio, duo }: GridPoint, inputs: Float32Array, weights: Float64Array): Float32Array {
  const factors = Float64Array.from(inputs, (x, channel) =>
    Math.max(LEAST_FACTOR, x ** ratio / (duo ? weights[channel] ** (1 - ratio) + 1e-4 : 1)),
  )
  const middle = Math.sqrt(factors.reduce((a, b) => Math.max(a, b)) * factors.reduce((a, b) => Math.min(a, b)))
  return Float32Array.from(factors, (factor) => (Number.isFinite(factor / middle) ? factor / middle : 1))
}

/** Mean over all rows of |w| relative to the largest weight that shares its scale: w̄ per input channel [columns]. */
export function meanWeights(targets: ReadonlyMap<Linear, QuantizationScheme>): Float64Array {
  const [{ columns }] = targets.keys()
  const sums = new Float64Array(columns)
  let total = 0
  for (const [{ weight, rows }, { weights: args }] of targets) {
    if (!args) continue
    const shape = gridShape(args, rows, columns)
    const largest = largestOf(weight, rows, columns, shape).map((value) => value + 1e-6)
    total += rows
    for (let row = 0; row < rows; row++) {
      const firstTile = Math.floor(row / shape.rowSpan) * shape.gridColumns
      const base = row * columns
      for (let c = 0; c < columns; c++) sums[c] += Math.abs(weight[base + c]) / largest[firstTile + Math.floor(c / shape.columnSpan)]
    }
  }
  return sums.map((sum) => sum / total)
}
