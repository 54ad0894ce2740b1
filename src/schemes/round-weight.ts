import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { scaleDtypeOf } from '../checkpoint/scale-tensors.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import { codeRange, gridShape } from './grid.ts'
import { searchSettings } from './observers.ts'
import { type Rounded, roundToGrid, shareLost } from './round-to-grid.ts'
import { type Matrix, RATIOS12 } from './search-grid.ts'
import { allowsSignedScales, type GridOptions, isSearched, weightGrid } from './weight-grid.ts'

/** The kernels that rounding needs. */
type RoundKernels = Pick<Kernels, 'searchScales' | 'roundWeights' | 'roundGroups'>

/** `weightGrid`, then `roundToGrid`, codes in `memory`; both in one pass over the weight where the kernels have that. */
export async function roundWeight(
  kernels: RoundKernels,
  matrix: Matrix,
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  options: GridOptions,
  memory?: SpareMemory,
): Promise<Rounded> {
  const { weight, rows, columns, dtype } = matrix
  const search = searchOf(scheme, args, options)
  const scaleDtype = scaleDtypeOf(args, dtype)
  const { columnSpan: groupSize, scaleShape } = gridShape(args, rows, columns)
  if (search === null || groupSize % 8 !== 0 || (scaleDtype !== 'F32' && scaleDtype !== 'F16' && scaleDtype !== 'BF16')) {
    const grid = await weightGrid(kernels, matrix, scheme, args, options)
    return roundToGrid(kernels, weight, rows, columns, args, grid, memory)
  }
  const input = { rows, columns, weight, groupSize, scaleDtype, ...search, ...codeRange(args), ...(memory && { memory }) }
  const { codes, scale, loss, power } = await kernels.roundGroups(input)
  const quantized = { args, rows, columns, codes, scale, scaleShape, scaleDtype, zeroPoint: null, globalScale: null }
  return { quantized, error: shareLost(loss, power) }
}

/** What the kernels search among in one pass, which is nothing for a grid by the largest magnitude; null where that needs passes of its own. */
function searchOf(
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  { importance, signed }: GridOptions,
): { ratios: readonly number[]; signed: boolean } | null {
  const { type, num_bits: bits, symmetric, strategy } = args
  if (!symmetric || (type !== 'int' && type !== 'float') || (strategy !== 'group' && strategy !== 'channel')) return null
  if (!isSearched(args)) return searchSettings(args) === null ? { ratios: [1], signed: false } : null
  if (importance !== null || bits > 4) return null
  return { ratios: RATIOS12, signed: signed && allowsSignedScales(scheme) }
}
