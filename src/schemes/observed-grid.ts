import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { RunError } from '../util/errors.ts'
import { observesInputs, type SearchSettings, searchSettings } from './observers.ts'
import { type Grid, minMaxGrid } from './qparams.ts'
import { type Matrix, type SearchKernel, searchGrid } from './search-grid.ts'

/**
 * The grid of a weight [rows, columns] as its observer finds it (`args.observer`, `args.observer_kwargs`): from minimum and maximum, or by
 * search. `importance` [columns] is the mean square of each input channel over the calibration rows, which imatrix observers weigh errors
 * by; without a usable one, and for tensor and block scales, they weigh all alike, as llm-compressor does. `globalScale`: as in
 * `minMaxGrid`. Errors: RunError where the observer is `strict` about that.
 */
export async function observedGrid(
  kernels: SearchKernel,
  matrix: Matrix,
  args: QuantizationArgs,
  importance: Float32Array | null,
  globalScale: number | null = null,
): Promise<Grid> {
  const settings = searchSettings(args)
  const { weight, rows, columns, dtype } = matrix
  if (settings === null) return minMaxGrid(weight, rows, columns, args, dtype, globalScale)
  return searchGrid(kernels, matrix, args, {
    ratios: searchRatios(args, settings),
    importance: observesInputs(args) ? usableImportance(args, importance, columns, settings) : null,
    norm: settings.norm,
    globalScale,
  })
}

/**
 * expand * (1 - i / grid) for i up to maxshrink * grid: excluded for mse, included (and at least one step) for imatrix, as llm-compressor
 * has it.
 */
function searchRatios(args: QuantizationArgs, { maxshrink, grid, expand }: SearchSettings): number[] {
  const steps = Math.trunc(maxshrink * grid)
  const length = observesInputs(args) ? Math.max(1, steps) + 1 : Math.max(1, steps)
  return Array.from({ length }, (_, i) => expand * (1 - i / grid))
}

function usableImportance(
  { observer, strategy }: QuantizationArgs,
  importance: Float32Array | null,
  columns: number,
  { strict }: SearchSettings,
): Float32Array | null {
  const problem = importanceProblem(strategy, importance, columns)
  if (problem === null) return importance
  if (strict) throw new RunError(`Cannot use observer ${observer}, which is strict: ${problem}, or strict: false.`)
  return null
}

function importanceProblem(strategy: QuantizationArgs['strategy'], importance: Float32Array | null, columns: number): string | null {
  if (strategy === 'tensor' || strategy === 'block') return `found strategy ${strategy}, expected channel or group`
  if (importance === null) return 'found no inputs, expected calibration rows'
  if (importance.length !== columns) return `found ${importance.length} input channels, expected ${columns}`
  if (!importance.every((value) => value >= 0 && value < Number.POSITIVE_INFINITY)) return 'found inputs that are not finite'
  return importance.some((value) => value > 0) ? null : 'found inputs that are all zero, expected some that are not'
}
