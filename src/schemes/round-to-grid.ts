import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import { codeRange, gridShape } from './grid.ts'
import { effectiveScale, type Grid } from './qparams.ts'

/** A rounded weight and what the rounding lost. */
export interface Rounded {
  readonly quantized: Quantized
  /** Σ(w - q)² / Σw² over all weights, summed in float64; not finite where a weight is not. */
  readonly error: number
}

/** What the kernels are asked of a weight [rows, columns] and its grid. */
function roundInput(weight: Float32Array, rows: number, columns: number, args: QuantizationArgs, grid: Grid) {
  const { rowSpan, columnSpan } = gridShape(args, rows, columns)
  return { rows, columns, weight, rowSpan, columnSpan, scale: effectiveScale(grid), zeroPoint: grid.zeroPoint, ...codeRange(args) }
}

/** `quantizeToGrid` by the kernels, and the error of it; codes may lie in `memory`. */
export async function roundToGrid(
  kernels: Pick<Kernels, 'roundWeights'>,
  weight: Float32Array,
  rows: number,
  columns: number,
  args: QuantizationArgs,
  grid: Grid,
  memory?: SpareMemory,
): Promise<Rounded> {
  const input = { ...roundInput(weight, rows, columns, args, grid), values: false, ...(memory && { memory }) }
  const { codes, loss, power } = await kernels.roundWeights(input)
  return { quantized: { args, rows, columns, codes, ...grid }, error: shareLost(loss, power) }
}

/** Rows' sums of what was lost and of all as one share. */
export function shareLost(loss: Float64Array, power: Float64Array): number {
  const [lost, all] = [loss, power].map((rows) => rows.reduce((sum, value) => sum + value, 0))
  return lost === 0 ? 0 : lost / all
}

/** What `dequantize` gives for a weight [rows, columns] after `quantizeToGrid`, by the kernels. */
export async function roundedValues(
  kernels: Pick<Kernels, 'roundWeights'>,
  weight: Float32Array,
  rows: number,
  columns: number,
  args: QuantizationArgs,
  grid: Grid,
): Promise<Float32Array> {
  const { values } = await kernels.roundWeights({ ...roundInput(weight, rows, columns, args, grid), values: true })
  if (!values) throw new RangeError('Cannot round: the kernels gave no values, expected them')
  return values
}
