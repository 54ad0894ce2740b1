import { encodeScales } from '../numerics/scale-dtype.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Quantized, StoredTensor } from './layouts/layout.ts'
import type { QuantizationArgs } from './quantization-config.ts'
import { encodeScale, type ReadSuffix, readScale, scaleDtypeOf, scaleShape } from './scale-tensors.ts'

// What GPTQ and AWQ files have in common: matrices stand as [in, out], every group has a zero point, scales are [groups, out].

/** Rows and groups of a weight's scales. Errors: CheckpointError for what neither format stores. */
export function scaleGrid(format: string, args: QuantizationArgs, rows: number, columns: number): { rows: number; groups: number } {
  if (args.type !== 'int' || (args.strategy !== 'group' && args.strategy !== 'channel')) {
    throw new CheckpointError(
      `Cannot use ${format} for weights: found ${args.type} with strategy ${args.strategy}, expected int with strategy group or channel.`,
    )
  }
  const [, groups] = scaleShape(args, rows, columns)
  return { rows, groups }
}

/** The stored `scales` [groups, out]. */
export function scalesAcross(
  args: QuantizationArgs,
  { rows, groups }: ReturnType<typeof scaleGrid>,
  dtype: Quantized['scaleDtype'],
): StoredTensor {
  return { suffix: 'scales', dtype: scaleDtypeOf(args, dtype), shape: [groups, rows] }
}

/** The bytes of `scales`. Errors: as `encodeScale`. */
export function encodeScalesAcross(quantized: Quantized): Uint8Array {
  encodeScale(quantized)
  const [rows, groups] = quantized.scaleShape
  return encodeScales(transposed(quantized.scale, rows, groups), quantized.scaleDtype)
}

/** The values of `scales`, in the order of `Quantized`: [rows, groups]. */
export async function readScalesAcross(
  stored: StoredTensor,
  dtype: Quantized['scaleDtype'],
  read: ReadSuffix,
): Promise<Pick<Quantized, 'scale' | 'scaleShape' | 'scaleDtype'>> {
  const [groups, rows] = stored.shape
  const { scale } = await readScale(stored, dtype, read)
  return { scale: transposed(scale, groups, rows), scaleShape: [rows, groups], scaleDtype: dtype }
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]
  return out
}

/** Signed zero points [rows, groups] to store: the middle of the codes, which is 0, for a symmetric weight. */
export function storedZeroPoints({ zeroPoint, scale }: Pick<Quantized, 'zeroPoint' | 'scale'>): Int8Array {
  return zeroPoint ?? new Int8Array(scale.length)
}

/**
 * Zero points as read, for `Quantized`: null for a symmetric weight. Errors: CheckpointError where one of those is not the middle of the
 * codes: kernels for symmetric weights do not look at them, and others do.
 */
export function readZeroPoints(zeroPoint: Int8Array, { symmetric, num_bits: bits }: QuantizationArgs): Int8Array | null {
  if (!symmetric) return zeroPoint
  const half = 2 ** (bits - 1)
  const wrong = zeroPoint.find((value) => value !== 0)
  if (wrong === undefined) return null
  const message = `Cannot decode qzeros: found a zero point of ${wrong + half}, expected ${half} everywhere, since config.json says symmetric (sym).`
  throw new CheckpointError(message, { tensor: 'qzeros' })
}
