import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { scaleDtypeOf } from '../checkpoint/scale-tensors.ts'
import type { FloatDType, ScaleDType } from '../numerics/dtype.ts'
import { toPowerOfTwoScales } from '../numerics/e8m0.ts'
import { FP4_E2M1_MAX } from '../numerics/fp4-e2m1.ts'
import { FP8_E4M3_MAX } from '../numerics/fp8-e4m3.ts'
import { roundHalfEven } from '../numerics/round.ts'
import { roundScales } from '../numerics/scale-dtype.ts'
import { codeRange, type GridShape, gridShape } from './grid.ts'

/** Scales and zero points of a matrix: weight = (code - zeroPoint) * scale, divided by `globalScale` where there is one. */
export interface Grid {
  /** float32, each already representable in `scaleDtype`; row major in `scaleShape`. */
  readonly scale: Float32Array
  readonly scaleShape: readonly number[]
  /** What the scales are stored as. */
  readonly scaleDtype: ScaleDType
  /** In the shape of `scale`; null when symmetric. */
  readonly zeroPoint: Int8Array | null
  /** NVFP4 (strategy tensor_group): what the scales are divided by, a float32. Else null. */
  readonly globalScale: number | null
}

/** What codes are really multiplied by, in the shape of `scale`: the scales over the global one, in float32. */
export function effectiveScale({ scale, globalScale }: Pick<Grid, 'scale' | 'globalScale'>): Float32Array {
  return globalScale === null ? scale : scale.map((s) => s / globalScale)
}

/**
 * The global scale of NVFP4 for matrices that servers fuse (q/k/v; gate/up): 448 * 6 / absmax over all of them, in float32, so that the
 * largest of all groups has the largest E4M3 scale; 1 where that is not finite (all zero). compressed-tensors' `generate_gparam`.
 */
export function sharedGlobalScale(weights: readonly Float32Array[]): number {
  let absmax = 0
  for (const weight of weights) for (let i = 0; i < weight.length; i++) absmax = Math.max(absmax, Math.abs(weight[i]))
  return globalScaleOf(absmax)
}

/** The global scale of those matrices of a stage that have one; null where none has. */
export function stageGlobalScale(matrices: readonly { readonly weight: Float32Array; readonly args: QuantizationArgs }[]): number | null {
  const fused = matrices.filter(({ args }) => args.strategy === 'tensor_group')
  return fused.length > 0 ? sharedGlobalScale(fused.map(({ weight }) => weight)) : null
}

/** The global scale of NVFP4 for values of magnitudes up to `absmax`. */
export function globalScaleOf(absmax: number): number {
  const scale = Math.fround((FP8_E4M3_MAX * FP4_E2M1_MAX) / absmax)
  return Number.isFinite(scale) ? scale : 1
}

/** Smallest and largest weight of each tile; zero is always within, since padding and zero itself must be representable. */
export function ranges(weight: Float32Array, rows: number, columns: number, shape: GridShape): { low: Float32Array; high: Float32Array } {
  const { rowSpan, columnSpan, gridRows, gridColumns } = shape
  const low = new Float32Array(gridRows * gridColumns)
  const high = new Float32Array(gridRows * gridColumns)
  for (let r = 0; r < rows; r++) {
    const firstTile = Math.floor(r / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const end = r * columns + Math.min(columns, (g + 1) * columnSpan)
      let min = low[firstTile + g]
      let max = high[firstTile + g]
      for (let i = r * columns + g * columnSpan; i < end; i++) {
        const w = weight[i]
        if (w < min) min = w
        if (w > max) max = w
      }
      low[firstTile + g] = min
      high[firstTile + g] = max
    }
  }
  return { low, high }
}

/** The largest magnitude of each tile of finite weights: of such floats the bits below the sign count up with it. */
export function largestOf(weight: Float32Array, rows: number, columns: number, shape: GridShape): Float32Array {
  const { rowSpan, columnSpan, gridRows, gridColumns } = shape
  const words = new Int32Array(weight.buffer, weight.byteOffset, weight.length)
  const largest = new Int32Array(gridRows * gridColumns)
  for (let r = 0; r < rows; r++) {
    const firstTile = Math.floor(r / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const end = r * columns + Math.min(columns, (g + 1) * columnSpan)
      let most = largest[firstTile + g]
      for (let i = r * columns + g * columnSpan; i < end; i++) {
        const magnitude = words[i] & 0x7fffffff
        if (magnitude > most) most = magnitude
      }
      largest[firstTile + g] = most
    }
  }
  return new Float32Array(largest.buffer)
}

function zeroPoints(low: Float32Array, scale: Float32Array, min: number, max: number): Int8Array {
  const zeroPoint = new Int8Array(low.length)
  for (let t = 0; t < low.length; t++) {
    const exact = Math.fround(min - Math.fround(low[t] / scale[t]))
    zeroPoint[t] = roundHalfEven(Math.min(max, Math.max(min, exact)))
  }
  return zeroPoint
}

/** Ranges of tiles, each zero or on its side of it, to a grid: `minMaxGrid` without the search for the ranges. */
export function gridOfRanges(
  low: Float32Array,
  high: Float32Array,
  scaleShape: readonly number[],
  args: QuantizationArgs,
  dtype: FloatDType,
  globalScale: number | null,
): Grid {
  const { min, max } = codeRange(args)
  const scale = new Float32Array(low.length)
  if (args.symmetric) {
    for (let t = 0; t < scale.length; t++) scale[t] = Math.max(-low[t], high[t])
    return gridOfLargest(scale, scaleShape, args, dtype, globalScale)
  }
  const scaleDtype = scaleDtypeOf(args, dtype)
  for (let t = 0; t < scale.length; t++) scale[t] = Math.fround(high[t] - low[t]) / (max - min)
  roundScales(scale, scaleDtype)
  return { scale, scaleShape, scaleDtype, zeroPoint: zeroPoints(low, scale, min, max), globalScale }
}

/** The symmetric grid of tiles whose largest magnitudes are `scale`, which becomes their scales. */
export function gridOfLargest(
  scale: Float32Array,
  scaleShape: readonly number[],
  args: QuantizationArgs,
  dtype: FloatDType,
  globalScale: number | null,
): Grid {
  const { min, max } = codeRange(args)
  const scaleDtype = scaleDtypeOf(args, dtype)
  const half = (max - min) / 2
  if (scaleDtype === 'U8') toPowerOfTwoScales(scale, Math.floor(Math.log2(max)))
  else for (let t = 0; t < scale.length; t++) scale[t] /= half
  if (globalScale !== null) for (let t = 0; t < scale.length; t++) scale[t] *= globalScale
  roundScales(scale, scaleDtype)
  return { scale, scaleShape, scaleDtype, zeroPoint: null, globalScale }
}

/**
 * Scales (and zero points) from the smallest and largest weight of each tile: `calculate_qparams` of compressed-tensors, in float32.
 * Symmetric: absmax over half the code range, so 7.5 for int4, 127.5 for int8, 448 for float8, 6 for float4; a power of two near it for MX.
 * Asymmetric: (max - min) over the range. Scales are rounded to the type they are stored in, `dtype` unless the scheme fixes it, before any
 * code is computed from them. NVFP4 takes `globalScale` (`sharedGlobalScale`), else that of this matrix. `weight` is [rows, columns] and
 * finite.
 */
export function minMaxGrid(
  weight: Float32Array,
  rows: number,
  columns: number,
  args: QuantizationArgs,
  dtype: FloatDType,
  globalScale: number | null = null,
): Grid {
  const shape = gridShape(args, rows, columns)
  const global = ownGlobalScale(args, weight, globalScale)
  if (args.symmetric) return gridOfLargest(largestOf(weight, rows, columns, shape), shape.scaleShape, args, dtype, global)
  const { low, high } = ranges(weight, rows, columns, shape)
  return gridOfRanges(low, high, shape.scaleShape, args, dtype, global)
}

/** The global scale to use: null for schemes without, else the one given, else that of the matrix itself. */
export function ownGlobalScale({ strategy }: QuantizationArgs, weight: Float32Array, given: number | null): number | null {
  return strategy === 'tensor_group' ? (given ?? sharedGlobalScale([weight])) : null
}
