import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { codeRange, type GridShape, gridShape } from './grid.ts'
import { type Grid, gridOfLargest, gridOfRanges, largestOf, ownGlobalScale, ranges } from './qparams.ts'
import { dequantize, quantizeToGrid } from './quantize.ts'

/**
 * Fractions of a range worth trying where each trial is dear: from a little beyond the extremes to where clipping costs more than it gains.
 * The range itself comes first, for where nothing tells them apart.
 */
export const RATIOS12: readonly number[] = [1, 1.1, 1.05, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.75, 0.7]

/** The candidates for the scale of each tile, and what makes one better than another: the least Σ importance * |error|^norm. */
export interface GridSearch {
  /** Fractions of the range from minimum to maximum; of two equally good ones the first wins. */
  readonly ratios: readonly number[]
  /** Symmetric ints: negative scales too (after all positive ones), since the smallest code reaches one step further than the largest. */
  readonly signed?: boolean
  /** [columns] the weight of each input channel's errors; null: all alike. */
  readonly importance?: Float32Array | null
  readonly norm: number
  /** NVFP4: the shared global scale; that of the matrix where there is none. */
  readonly globalScale?: number | null
}

/** The kernel that a search needs. */
export type SearchKernel = Pick<Kernels, 'searchScales'>

/** A weight to find a grid for: a linear's own, or what it is rounded from instead. */
export interface Matrix {
  /** [rows, columns], finite */
  readonly weight: Float32Array
  readonly rows: number
  readonly columns: number
  /** The type of the model's weights, which scales are stored in where the scheme names no other. */
  readonly dtype: FloatDType
}

/** A matrix and what is fixed about its grid during a search. */
interface Subject extends Matrix {
  readonly args: QuantizationArgs
  readonly shape: GridShape
  /** Of each tile: of symmetric schemes the largest magnitude is all that counts. */
  readonly ends: { readonly low: Float32Array; readonly high: Float32Array } | { readonly largest: Float32Array }
  readonly globalScale: number | null
}

/** Candidate scales of all tiles at a time: 16 MB of float32. */
const CANDIDATES = 2 ** 22

/**
 * The grid of least error out of scaled ranges, for every tile on its own. Scales are rounded to their stored type before they are
 * compared, so what wins is what is written. Int groups and channels are searched by the kernels, other schemes in plain loops.
 */
export async function searchGrid(
  kernels: SearchKernel,
  { weight, rows, columns, dtype }: Matrix,
  args: QuantizationArgs,
  search: GridSearch,
): Promise<Grid> {
  const shape = gridShape(args, rows, columns)
  const globalScale = ownGlobalScale(args, weight, search.globalScale ?? null)
  const ends = args.symmetric ? { largest: largestOf(weight, rows, columns, shape) } : ranges(weight, rows, columns, shape)
  const subject = { weight, rows, columns, args, dtype, shape, ends, globalScale }
  const signed = search.signed === true && args.symmetric && args.type === 'int'
  const forKernels = args.type === 'int' && (args.strategy === 'group' || args.strategy === 'channel')
  return forKernels ? kernelSearch(kernels, subject, search, signed) : plainSearch(subject, search, signed)
}

/** The grids of the ranges of tiles `from` to `to` times each ratio, side by side: [tiles, ratios]. */
function candidates({ args, dtype, ends, globalScale }: Subject, ratios: readonly number[], from: number, to: number): Grid {
  const count = ratios.length
  const factors = Float64Array.from(ratios)
  const shape = [to - from, count]
  const scaled = (values: Float32Array) => {
    const out = new Float32Array((to - from) * count)
    for (let t = from, at = 0; t < to; t++) for (let k = 0; k < count; k++) out[at++] = values[t] * factors[k]
    return out
  }
  if ('low' in ends) return gridOfRanges(scaled(ends.low), scaled(ends.high), shape, args, dtype, globalScale)
  return gridOfLargest(scaled(ends.largest), shape, args, dtype, globalScale)
}

async function kernelSearch(kernels: SearchKernel, subject: Subject, search: GridSearch, signed: boolean): Promise<Grid> {
  const { weight, rows, columns, args, shape } = subject
  const { ratios } = search
  const { min, max } = codeRange(args)
  const groups = shape.gridColumns
  const best = candidates(subject, ratios.slice(0, 1), 0, rows * groups)
  const strip = Math.max(1, Math.floor(CANDIDATES / (groups * ratios.length)))
  for (let top = 0; top < rows; top += strip) {
    const end = Math.min(rows, top + strip)
    const grid = candidates(subject, ratios, top * groups, end * groups)
    const winners = await kernels.searchScales({
      rows: end - top,
      columns,
      weight: weight.subarray(top * columns, end * columns),
      groupSize: shape.columnSpan,
      importance: search.importance ?? null,
      candidates: ratios.length,
      scale: grid.scale,
      zeroPoint: grid.zeroPoint,
      signed,
      min,
      max,
      norm: search.norm,
    })
    for (let t = 0; t < winners.length; t++) {
      const ratio = winners[t] % ratios.length
      copyTile(grid, t * ratios.length + ratio, best, top * groups + t, winners[t] !== ratio)
    }
  }
  return { ...best, scaleShape: shape.scaleShape }
}

function copyTile(from: Grid, at: number, to: Grid, tile: number, negated: boolean): void {
  to.scale[tile] = negated ? -from.scale[at] : from.scale[at]
  if (to.zeroPoint && from.zeroPoint) to.zeroPoint[tile] = from.zeroPoint[at]
}

/** One candidate after the other for the whole matrix: slow, and the same for every type and strategy. */
function plainSearch(subject: Subject, search: GridSearch, signed: boolean): Grid {
  const { weight, rows, columns, args, shape } = subject
  const { ratios } = search
  const tiles = shape.gridRows * shape.gridColumns
  const best = candidates(subject, ratios.slice(0, 1), 0, tiles)
  const least = new Float64Array(tiles).fill(Number.POSITIVE_INFINITY)
  for (const negated of signed ? [false, true] : [false]) {
    for (const ratio of ratios) {
      const grid = candidates(subject, [ratio], 0, tiles)
      const tried = negated ? { ...grid, scale: grid.scale.map((s) => -s) } : grid
      const error = dequantize(quantizeToGrid(weight, rows, columns, args, tried))
      for (let i = 0; i < error.length; i++) error[i] -= weight[i]
      const sums = tileSums(error, rows, columns, shape, search)
      for (let t = 0; t < tiles; t++) {
        if (!(sums[t] < least[t])) continue
        least[t] = sums[t]
        copyTile(grid, t, best, t, negated)
      }
    }
  }
  return { ...best, scaleShape: shape.scaleShape }
}

/** Σ importance * |error|^norm of each tile, in float64. */
function tileSums(
  error: Float32Array,
  rows: number,
  columns: number,
  shape: GridShape,
  { norm, importance = null }: GridSearch,
): Float64Array {
  const { rowSpan, columnSpan, gridRows, gridColumns } = shape
  const sums = new Float64Array(gridRows * gridColumns)
  for (let r = 0; r < rows; r++) {
    const firstTile = Math.floor(r / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const end = Math.min(columns, (g + 1) * columnSpan)
      let sum = 0
      for (let c = g * columnSpan; c < end; c++) {
        const size = Math.abs(error[r * columns + c])
        sum += (norm === 2 ? size * size : size ** norm) * (importance === null ? 1 : importance[c])
      }
      sums[firstTile + g] += sum
    }
  }
  return sums
}
