import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { gridShape } from './grid.ts'
import { effectiveScale, type Grid } from './qparams.ts'

/** The scales of a grid as the kernels take them: every row has its own, and groups divide the columns. */
interface RowScales {
  readonly groups: number
  /** Columns of a group. */
  readonly groupSize: number
  /** [rows, groups] what codes are really multiplied by. */
  readonly scale: Float32Array
  /** [rows, groups]; null when symmetric. */
  readonly zeroPoint: Int8Array | null
}

/** Gives every row the scales of its tiles: where rows share them, and where the last tile is cut short, they are repeated. */
export function rowScales(args: QuantizationArgs, rows: number, columns: number, grid: Grid): RowScales {
  const { rowSpan, columnSpan, gridColumns } = gridShape(args, rows, columns)
  const scale = effectiveScale(grid)
  const groupSize = greatestDivisor(columnSpan, columns)
  const groups = columns / groupSize
  if (rowSpan === 1 && groups === gridColumns) return { groups, groupSize, scale, zeroPoint: grid.zeroPoint }
  const tileOf = (at: number) =>
    Math.floor(Math.floor(at / groups) / rowSpan) * gridColumns + Math.floor(((at % groups) * groupSize) / columnSpan)
  const { zeroPoint } = grid
  return {
    groups,
    groupSize,
    scale: new Float32Array(rows * groups).map((_, at) => scale[tileOf(at)]),
    zeroPoint: zeroPoint && new Int8Array(rows * groups).map((_, at) => zeroPoint[tileOf(at)]),
  }
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}
