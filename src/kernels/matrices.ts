import type { FourBitType } from '../numerics/bitsandbytes-codes.ts'
import { RunError } from '../util/errors.ts'
import { productColumns } from './tiles.ts'

/** A weight matrix as it stays in memory: W [rows, columns], and a bias. */
export interface MatrixInput {
  readonly rows: number
  readonly columns: number
  /**
   * How `data` holds the elements, row after row: float32 or bfloat16 values; signed codes of a byte; codes of four bits plus 8, two a
   * byte, the lower half first, rows padded to whole 32-bit words (`weight_packed` of compressed-tensors); codes of NF4 or FP4, two a byte, the
   * upper half first (`weight` of bitsandbytes).
   */
  readonly format: 'f32' | 'bf16' | 'int8' | 'int4' | FourBitType
  readonly data: Uint8Array
  /** Columns that share a scale; all where they are floats. As `groupFits` says. */
  readonly groupSize: number
  /** [rows, columns / groupSize]; null for floats. */
  readonly scale: Float32Array | null
  /** As `scale`; null: all zero, as in NF4 and FP4. */
  readonly zeroPoint: Int8Array | null
  /** [rows]; null for none. */
  readonly bias: Float32Array | null
}

/** Weight matrices that stay where they are put, and products with them. Two implementations give the same bytes for any number of threads. */
export interface Matrices {
  readonly name: 'wasm' | 'reference'
  readonly threads: number
  /** Bytes that are held. */
  readonly bytes: number
  /** Copies a matrix in and gives its number. Errors: RunError for arrays of the wrong size, or where memory ends. */
  add(input: MatrixInput): number
  /**
   * x Wᵀ + b for some matrices of as many columns, which read the same x [tokens, columns]: [tokens, rows] each. At once, in this thread and
   * its helpers. Floats in float32, 16 sums by the column's place, added in pairs. Integers: x in fixed point (`fixedPoint`), exact sums of
   * up to 1024 columns of a group, four by the column's place; those as float32 times the scale, groups in order. NF4 and FP4: values of
   * their table times x in float32, 16 sums of a group by the place of a pair of columns; those times the scale, groups in order, added in pairs.
   */
  multiply(matrices: readonly number[], x: Float32Array, tokens: number): Float32Array[]
  /** What the codes stand for, (code - zero point) * scale, or a table's value * scale, in float32: [rows, columns], without the bias. */
  values(matrix: number): Float32Array
  close(): Promise<void>
}

/** Whether a format is codes of a table of 16 values. */
export function isTable(format: MatrixInput['format']): format is FourBitType {
  return format === 'nf4' || format === 'fp4'
}

/** Whether a matrix of codes can be held in groups of so many columns: all of a row, or whole blocks. */
export function groupFits(groupSize: number, columns: number): boolean {
  return groupSize === columns || (columns % groupSize === 0 && groupSize % productColumns === 0)
}

/** Bytes of a row as `MatrixInput.data` has it. */
export function rowBytes({ format, columns }: Pick<MatrixInput, 'format' | 'columns'>): number {
  if (format === 'int4') return Math.ceil(columns / 8) * 4
  if (isTable(format)) return columns / 2
  return columns * (format === 'f32' ? 4 : format === 'bf16' ? 2 : 1)
}

/** RunError unless the arrays have the sizes that rows, columns and groups ask for. */
export function checkMatrix(input: MatrixInput): void {
  const { rows, columns, format, groupSize, scale } = input
  const action = `hold a matrix of ${rows} x ${columns} as ${format}`
  const expected = (what: string, found: number, wanted: number) => {
    if (found !== wanted) throw new RunError(`Cannot ${action}: ${what} has ${found} elements, expected ${wanted}`)
  }
  expected('data', input.data.length, rows * rowBytes(input))
  if (isTable(format) && (columns % 2 !== 0 || input.zeroPoint))
    throw new RunError(
      `Cannot ${action}: found ${columns} columns${input.zeroPoint ? ' and zero points' : ''}, expected pairs of columns alone`,
    )
  const isFloat = format === 'f32' || format === 'bf16'
  if (isFloat !== (scale === null)) throw new RunError(`Cannot ${action}: found ${scale ? '' : 'no '}scales, expected them for codes`)
  if (!isFloat && !groupFits(groupSize, columns))
    throw new RunError(
      `Cannot ${action}: groups of ${groupSize}, expected all columns or a divisor of them that is a multiple of ${productColumns}`,
    )
  const groups = columns / groupSize
  if (scale) expected('scale', scale.length, rows * groups)
  if (input.zeroPoint) expected('zeroPoint', input.zeroPoint.length, rows * groups)
  if (input.bias) expected('bias', input.bias.length, rows)
}

/** RunError unless x has `tokens` rows for each of the matrices. */
export function checkProduct(shapes: readonly Pick<MatrixInput, 'columns'>[], x: Float32Array, tokens: number): void {
  for (const { columns } of shapes) {
    if (x.length !== tokens * columns)
      throw new RunError(`Cannot multiply ${tokens} tokens by a matrix of ${columns} columns: x has ${x.length} elements`)
  }
}
