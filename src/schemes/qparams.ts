import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import { roundHalfEven } from '../numerics/round.ts'
import { codeRange, type GridShape, gridShape } from './grid.ts'

/** Scales and zero points of a matrix: weight = (code - zeroPoint) * scale. */
export interface Grid {
  /** float32, each already representable in the type it will be stored in; row major in `scaleShape`. */
  readonly scale: Float32Array
  readonly scaleShape: readonly number[]
  /** In the shape of `scale`; null when symmetric. */
  readonly zeroPoint: Int8Array | null
}

/** What replaces a scale of zero: the machine epsilon of its type, as compressed-tensors does. */
const EPSILON: Readonly<Record<FloatDType, number>> = { F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 }

/** Smallest and largest weight of each tile; zero is always within, since padding and zero itself must be representable. */
function ranges(weight: Float32Array, rows: number, columns: number, shape: GridShape): { low: Float32Array; high: Float32Array } {
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

function zeroPoints(low: Float32Array, scale: Float32Array, min: number, max: number): Int8Array {
  const zeroPoint = new Int8Array(low.length)
  for (let t = 0; t < low.length; t++) {
    const exact = Math.fround(min - Math.fround(low[t] / scale[t]))
    zeroPoint[t] = roundHalfEven(Math.min(max, Math.max(min, exact)))
  }
  return zeroPoint
}

/**
 * Scales (and zero points) from the smallest and largest weight of each tile: `calculate_qparams` of compressed-tensors, in float32.
 * Symmetric: absmax over half the code range, so 7.5 for int4, 127.5 for int8, 448 for float8. Asymmetric: (max - min) over the range.
 * Scales are rounded to `scaleDtype` here, before any code is computed from them. `weight` is [rows, columns] and finite.
 */
export function minMaxGrid(weight: Float32Array, rows: number, columns: number, args: QuantizationArgs, scaleDtype: FloatDType): Grid {
  const shape = gridShape(args, rows, columns)
  const { low, high } = ranges(weight, rows, columns, shape)
  const { min, max } = codeRange(args)
  const scale = new Float32Array(low.length)
  for (let t = 0; t < scale.length; t++) {
    scale[t] = args.symmetric ? Math.max(-low[t], high[t]) / ((max - min) / 2) : Math.fround(high[t] - low[t]) / (max - min)
  }
  roundToDtype(scale, scaleDtype)
  for (let t = 0; t < scale.length; t++) if (scale[t] === 0) scale[t] = EPSILON[scaleDtype]
  return { scale, scaleShape: shape.scaleShape, zeroPoint: args.symmetric ? null : zeroPoints(low, scale, min, max) }
}
