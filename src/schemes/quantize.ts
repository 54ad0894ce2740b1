import { fourBitOf } from '../checkpoint/bitsandbytes-args.ts'
import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { decodeFourBit } from '../numerics/bitsandbytes-codes.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { decodeFp4E2m1, encodeFp4E2m1 } from '../numerics/fp4-e2m1.ts'
import { decodeFp8E4m3, encodeFp8E4m3 } from '../numerics/fp8-e4m3.ts'
import { roundHalfEven } from '../numerics/round.ts'
import { bytesOf } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'
import { codeRange, type GridShape, gridShape } from './grid.ts'
import { effectiveScale, type Grid } from './qparams.ts'

function intCodes(weight: Float32Array, rows: number, columns: number, shape: GridShape, grid: Grid, min: number, max: number): Int8Array {
  const { rowSpan, columnSpan, gridColumns } = shape
  const { scale, zeroPoint } = grid
  const codes = new Int8Array(rows * columns)
  for (let r = 0; r < rows; r++) {
    const firstTile = Math.floor(r / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const s = scale[firstTile + g]
      const zero = zeroPoint === null ? 0 : zeroPoint[firstTile + g]
      const end = r * columns + Math.min(columns, (g + 1) * columnSpan)
      for (let i = r * columns + g * columnSpan; i < end; i++) {
        const x = Math.fround(Math.fround(weight[i] / s) + zero)
        codes[i] = roundHalfEven(Math.min(max, Math.max(min, x)))
      }
    }
  }
  return codes
}

/** Bit patterns of floats, E4M3 for 8 bits and E2M1 for 4, one a byte. */
function floatCodes(weight: Float32Array, rows: number, columns: number, bits: number, shape: GridShape, scale: Float32Array): Uint8Array {
  const { rowSpan, columnSpan, gridColumns } = shape
  const scaled = new Float32Array(rows * columns)
  for (let r = 0; r < rows; r++) {
    const firstTile = Math.floor(r / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const s = scale[firstTile + g]
      const end = r * columns + Math.min(columns, (g + 1) * columnSpan)
      for (let i = r * columns + g * columnSpan; i < end; i++) scaled[i] = weight[i] / s
    }
  }
  return bits === 4 ? encodeFp4E2m1(scaled) : encodeFp8E4m3(scaled)
}

/**
 * Every weight to its nearest code on a grid: clamp(weight / scale + zeroPoint), then round halves to even, in float32. Plain rounding
 * (RTN), and the form that every other method's result takes. `weight` is [rows, columns] and finite (`assertFinite`).
 */
export function quantizeToGrid(weight: Float32Array, rows: number, columns: number, args: QuantizationArgs, grid: Grid): Quantized {
  const shape = gridShape(args, rows, columns)
  const { min, max } = codeRange(args)
  const codes =
    args.type === 'float'
      ? floatCodes(weight, rows, columns, args.num_bits, shape, effectiveScale(grid))
      : intCodes(weight, rows, columns, shape, grid, min, max)
  return { args, rows, columns, codes, ...grid }
}

/**
 * The weights [rows, columns] that a server computes with: (code - zeroPoint) * scale, over the global scale where there is one, in
 * float32.
 */
export function dequantize(quantized: Quantized): Float32Array {
  const { groupOf } = quantized
  return groupOf ? dequantizeOrdered(quantized, groupOf) : dequantizeRows(quantized, null)
}

/** Some rows of what `dequantize` gives, or all: [picked, columns]; of columns in their order. */
export function dequantizeRows(quantized: Quantized, picked: Int32Array | null): Float32Array {
  const { args, rows, columns, zeroPoint } = quantized
  if (args.type === 'nf4' || args.type === 'fp4') return dequantizeBlocks(quantized, picked)
  const { rowSpan, columnSpan, gridColumns } = gridShape(args, rows, columns)
  const scale = effectiveScale(quantized)
  const codes = picked ? pickedCodes(quantized, picked) : quantized.codes
  const count = codes.length / columns
  const values = codes instanceof Int8Array ? new Float32Array(codes) : decodeBits(codes, args)
  for (let r = 0; r < count; r++) {
    const firstTile = Math.floor((picked ? picked[r] : r) / rowSpan) * gridColumns
    for (let g = 0; g < gridColumns; g++) {
      const s = scale[firstTile + g]
      const zero = zeroPoint === null ? 0 : zeroPoint[firstTile + g]
      const end = r * columns + Math.min(columns, (g + 1) * columnSpan)
      for (let i = r * columns + g * columnSpan; i < end; i++) values[i] = (values[i] - zero) * s
    }
  }
  return values
}

/** `dequantizeRows` of NF4 and FP4, whose blocks run over row ends. */
function dequantizeBlocks(quantized: Quantized, picked: Int32Array | null): Float32Array {
  const { args, columns, scale } = quantized
  const { type, blockSize } = fourBitOf(args)
  const values = decodeFourBit(bytesOf(picked ? pickedCodes(quantized, picked) : quantized.codes), type)
  for (let i = 0; i < values.length; i++) {
    const row = Math.floor(i / columns)
    values[i] *= scale[Math.floor(((picked ? picked[row] : row) * columns + (i - row * columns)) / blockSize)]
  }
  return values
}

function decodeBits(codes: Uint8Array, { num_bits: bits }: QuantizationArgs): Float32Array {
  return bits === 4 ? decodeFp4E2m1(codes) : decodeFp8E4m3(codes)
}

/** `dequantize` where each column has a group of its own. */
function dequantizeOrdered({ rows, columns, codes, scale, scaleShape, zeroPoint }: Quantized, groupOf: Int32Array): Float32Array {
  const groups = scaleShape[1]
  const values = new Float32Array(codes)
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const tile = r * groups + groupOf[c]
      values[r * columns + c] = (values[r * columns + c] - (zeroPoint === null ? 0 : zeroPoint[tile])) * scale[tile]
    }
  }
  return values
}

function pickedCodes({ codes, columns }: Quantized, picked: Int32Array): Int8Array | Uint8Array {
  const size = picked.length * columns
  const found = codes instanceof Int8Array ? new Int8Array(size) : new Uint8Array(size)
  for (const [i, row] of picked.entries()) found.set(codes.subarray(row * columns, (row + 1) * columns), i * columns)
  return found
}

/** Σ(a - b)² / Σa² of the original `a` and its approximation `b`, summed in float64; 0 for an original of zeros that was kept. */
export function relativeError(original: Float32Array, approximation: Float32Array): number {
  let difference = 0
  let total = 0
  for (let i = 0; i < original.length; i++) {
    const d = original[i] - approximation[i]
    difference += d * d
    total += original[i] * original[i]
  }
  return difference === 0 ? 0 : difference / total
}

/**
 * Errors: CheckpointError naming what is done with the tensor, the tensor, its file where it is known, and the first index that is NaN or
 * infinite.
 */
export function assertFinite(weight: Float32Array, name: string, file?: string, action = 'quantize'): void {
  const i = firstNonFinite(bytesOf(weight), 'F32')
  if (i >= 0)
    throw new CheckpointError(
      `Cannot ${action} ${name}${file === undefined ? '' : ` of ${file}`}: found ${weight[i]} at element ${i}, expected finite weights`,
      {
        tensor: name,
        ...(file !== undefined && { file }),
      },
    )
}
