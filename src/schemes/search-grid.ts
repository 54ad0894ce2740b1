import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { codeRange, type GridShape, gridShape } from './grid.ts'
import { type Grid, gridOfRanges, ownGlobalScale, ranges } from './qparams.ts'
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
  readonly low: Float32Array
  readonly high: Float32Array
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
  const subject = { weight, rows, columns, args, dtype, shape, ...ranges(weight, rows, columns, shape), globalScale }
  const isSigned = search.signed === true && args.symmetric && args.type === 'int'
  const ratios = isSigned ? [...search.ratios, ...search.ratios.map((ratio) => -ratio)] : search.ratios
  const forKernels = args.type === 'int' && (args.strategy === 'group' || args.strategy === 'channel')
  return forKernels ? kernelSearch(kernels, subject, ratios, search) : plainSearch(subject, ratios, search)
}

/** The grid of the ranges of tiles `from` to `to` times |ratio|, with negative scales for a negative ratio. */
function candidate({ args, dtype, low, high, globalScale }: Subject, ratio: number, from: number, to: number): Grid {
  const scaled = (ends: Float32Array) => ends.subarray(from, to).map((end) => end * Math.abs(ratio))
  const grid = gridOfRanges(scaled(low), scaled(high), [to - from], args, dtype, globalScale)
  return ratio < 0 ? { ...grid, scale: grid.scale.map((s) => -s) } : grid
}

async function kernelSearch(kernels: SearchKernel, subject: Subject, ratios: readonly number[], search: GridSearch): Promise<Grid> {
  const { weight, rows, columns, args, shape } = subject
  const { min, max } = codeRange(args)
  const groups = shape.gridColumns
  const best = candidate(subject, ratios[0] ?? 1, 0, rows * groups)
  const strip = Math.max(1, Math.floor(CANDIDATES / (groups * ratios.length)))
  for (let top = 0; top < rows; top += strip) {
    const end = Math.min(rows, top + strip)
    const grids = ratios.map((ratio) => candidate(subject, ratio, top * groups, end * groups))
    const winners = await kernels.searchScales({
      rows: end - top,
      columns,
      weight: weight.subarray(top * columns, end * columns),
      groupSize: shape.columnSpan,
      importance: search.importance ?? null,
      candidates: ratios.length,
      scale: interleaved(grids, (grid) => grid.scale, new Float32Array((end - top) * groups * ratios.length)),
      zeroPoint: args.symmetric
        ? null
        : interleaved(grids, (grid) => grid.zeroPoint ?? new Int8Array(), new Int8Array((end - top) * groups * ratios.length)),
      min,
      max,
      norm: search.norm,
    })
    for (let t = 0; t < winners.length; t++) copyTile(grids[winners[t]], t, best, top * groups + t)
  }
  return { ...best, scaleShape: shape.scaleShape }
}

/** Values of several grids, tile by tile: [tiles, grids]. */
function interleaved<T extends Float32Array | Int8Array>(grids: readonly Grid[], values: (grid: Grid) => T, out: T): T {
  for (const [k, grid] of grids.entries()) {
    const source = values(grid)
    for (let t = 0; t < source.length; t++) out[t * grids.length + k] = source[t]
  }
  return out
}

function copyTile(from: Grid, at: number, to: Grid, tile: number): void {
  to.scale[tile] = from.scale[at]
  if (to.zeroPoint && from.zeroPoint) to.zeroPoint[tile] = from.zeroPoint[at]
}

/** One candidate after the other for the whole matrix: slow, and the same for every type and strategy. */
function plainSearch(subject: Subject, ratios: readonly number[], search: GridSearch): Grid {
  const { weight, rows, columns, args, shape } = subject
  const tiles = subject.low.length
  const best = candidate(subject, ratios[0] ?? 1, 0, tiles)
  const least = new Float64Array(tiles).fill(Number.POSITIVE_INFINITY)
  for (const ratio of ratios) {
    const grid = candidate(subject, ratio, 0, tiles)
    const error = dequantize(quantizeToGrid(weight, rows, columns, args, grid))
    for (let i = 0; i < error.length; i++) error[i] -= weight[i]
    const sums = tileSums(error, rows, columns, shape, search)
    for (let t = 0; t < tiles; t++) {
      if (!(sums[t] < least[t])) continue
      least[t] = sums[t]
      copyTile(grid, t, best, t)
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
