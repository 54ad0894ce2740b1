import { match, P } from 'ts-pattern'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { SmallFloat } from '../kernels/kernels.ts'
import { FP4_E2M1_MAX } from '../numerics/fp4-e2m1.ts'
import { FP8_E4M3_MAX } from '../numerics/fp8-e4m3.ts'

/**
 * How a matrix is cut into tiles that share a scale. Element [r, c] uses scale floor(r / rowSpan) * gridColumns + floor(c / columnSpan).
 */
export interface GridShape {
  readonly rowSpan: number
  readonly columnSpan: number
  readonly gridRows: number
  readonly gridColumns: number
  /** As stored: tensor [1]; channel [rows, 1]; group, tensor_group [rows, columns / size]; block [ceil(rows / bh), ceil(columns / bw)]. */
  readonly scaleShape: readonly number[]
}

function shapeOf(rows: number, columns: number, rowSpan: number, columnSpan: number, isTensor = false): GridShape {
  const gridRows = Math.ceil(rows / rowSpan)
  const gridColumns = Math.ceil(columns / columnSpan)
  return { rowSpan, columnSpan, gridRows, gridColumns, scaleShape: isTensor ? [1] : [gridRows, gridColumns] }
}

/**
 * The tiles of a weight matrix [rows, columns]. Errors: RangeError for a strategy that weights do not have, a group size still to be
 * settled, or one that does not divide: the plan has refused all of these before.
 */
export function gridShape(args: QuantizationArgs, rows: number, columns: number): GridShape {
  return match(args)
    .with({ strategy: 'tensor' }, () => shapeOf(rows, columns, rows, columns, true))
    .with({ strategy: 'channel' }, () => shapeOf(rows, columns, 1, columns))
    .with({ strategy: P.union('group', 'tensor_group'), group_size: P.number }, ({ group_size: size }) => {
      if (columns % size !== 0)
        throw new RangeError(`Cannot cut ${columns} columns into groups: found group size ${size}, expected one that divides`)
      return shapeOf(rows, columns, 1, size)
    })
    .with({ strategy: 'block', block_structure: P.nonNullable }, ({ block_structure: [height, width] }) =>
      shapeOf(rows, columns, height, width),
    )
    .otherwise(({ strategy, group_size }) => {
      throw new RangeError(
        `Cannot cut weights into tiles: found strategy ${strategy} with group size ${group_size}, expected tensor, channel, group, tensor_group or block`,
      )
    })
}

/**
 * What codes are, and the smallest and largest: signed ints (`float` null), symmetric or not (int4: -8 and 7); E4M3 with ±448 for 8-bit
 * floats, E2M1 with ±6 for 4-bit ones.
 */
export function codeRange(args: QuantizationArgs): { float: SmallFloat | null; min: number; max: number } {
  if (args.type === 'float') {
    const [float, max] = args.num_bits === 4 ? (['E2M1', FP4_E2M1_MAX] as const) : (['E4M3', FP8_E4M3_MAX] as const)
    return { float, min: -max, max }
  }
  const half = 2 ** (args.num_bits - 1)
  return { float: null, min: -half, max: half - 1 }
}
