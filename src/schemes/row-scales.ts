import { fourBitOf } from '../checkpoint/bitsandbytes-args.ts'
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
  if (args.type === 'nf4' || args.type === 'fp4') return blockScales(args, rows, columns, grid)
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

/** Blocks of a flattened matrix run over row ends: groups are what divides both a block and a row. */
function blockScales(args: QuantizationArgs, rows: number, columns: number, { scale }: Grid): RowScales {
  const { blockSize } = fourBitOf(args)
  const groupSize = greatestDivisor(blockSize, columns)
  const groups = columns / groupSize
  if (groupSize === blockSize) return { groups, groupSize, scale, zeroPoint: null }
  const repeated = new Float32Array(rows * groups).map((_, at) => scale[Math.floor((at * groupSize) / blockSize)])
  return { groups, groupSize, scale: repeated, zeroPoint: null }
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}
