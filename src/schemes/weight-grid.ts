import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { observedGrid } from './observed-grid.ts'
import type { Grid } from './qparams.ts'
import { type Matrix, RATIOS12, type SearchKernel, searchGrid } from './search-grid.ts'

/** What a grid depends on beside the weight and its scheme. */
export interface GridOptions {
  /** [columns] what a squared error of each input channel weighs, such as the mean square of its inputs; null: all alike. */
  readonly importance: Float32Array | null
  /** Negative scales may be tried, where the scheme can have them. */
  readonly signed: boolean
  /** NVFP4: the global scale of the linears that servers fuse; null: the matrix's own. */
  readonly globalScale: number | null
}

/** The grid that a weight is rounded to: as the observer that the recipe names finds it; where it names none and bits are few, that of least error. */
export async function weightGrid(
  kernels: SearchKernel,
  matrix: Matrix,
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  { importance, signed, globalScale }: GridOptions,
): Promise<Grid> {
  if (!isSearched(args)) return observedGrid(kernels, matrix, args, importance, globalScale)
  const search = { ratios: RATIOS12, signed: signed && allowsSignedScales(scheme), importance, norm: 2 }
  return searchGrid(kernels, matrix, args, search)
}

/** Whether a scheme can have negative scales: kernels that quantize activations derive further scales from them and take maxima. */
export function allowsSignedScales({ weights, input_activations: inputs }: QuantizationScheme): boolean {
  return weights !== null && weights.type === 'int' && weights.symmetric && inputs === null
}

/** Whether a search of scales can gain anything: eight bits lose next to nothing, and an observer that the recipe names is obeyed. */
export function isSearched({ type, num_bits: bits, observer, strategy }: QuantizationArgs): boolean {
  return observer === null && type === 'int' && bits < 8 && (strategy === 'group' || strategy === 'channel')
}
