import { match } from 'ts-pattern'
import { elementCount, type ScaleDType } from '../numerics/dtype.ts'
import { decodeScales, encodeScales } from '../numerics/scale-dtype.ts'
import { viewAs } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Quantized, StoredTensor } from './layouts/layout.ts'
import type { QuantizationArgs } from './quantization-config.ts'
import { tensorBytes } from './shards.ts'

/** Gives the stored bytes of a suffix, as `Layout.decode` gets it. */
export type ReadSuffix = (suffix: string) => Promise<Uint8Array>

/**
 * The shape of a weight's scales: tensor [1], channel [rows, 1], group [rows, ceil(columns / group size)], tensor_group
 * the same, block [ceil(rows / block rows), ceil(columns / block columns)]. Errors: CheckpointError for strategies that are not for
 * weights.
 */
export function scaleShape(args: QuantizationArgs, rows: number, columns: number): readonly number[] {
  return match(args)
    .with({ strategy: 'tensor' }, () => [1])
    .with({ strategy: 'channel' }, () => [rows, 1])
    .with({ strategy: 'group' }, { strategy: 'tensor_group' }, ({ group_size: size }) => [rows, size ? Math.ceil(columns / size) : 1])
    .with({ strategy: 'block' }, ({ block_structure: block }) => [
      Math.ceil(rows / (block?.[0] ?? 1)),
      Math.ceil(columns / (block?.[1] ?? 1)),
    ])
    .with({ strategy: 'token' }, { strategy: 'attn_head' }, ({ strategy }) => {
      throw new CheckpointError(`Cannot use strategy ${strategy} for weights: expected tensor, channel, group, tensor_group or block.`)
    })
    .exhaustive()
}

/**
 * The type of a weight's scales: E4M3 or powers of two where the scheme says so, with compressed-tensors' defaults for 4-bit floats (groups
 * of 16 are NVFP4, of 32 MXFP4); else `dtype`, that of the model's weights. Errors: CheckpointError for a type that no scheme or no model
 * has.
 */
export function scaleDtypeOf(
  { type, num_bits: bits, group_size: size, scale_dtype: stored }: QuantizationArgs,
  dtype: ScaleDType,
): ScaleDType {
  if (type === 'float' && stored !== null) return namedScaleDtype(stored)
  if (type === 'float' && bits === 4) return size === 32 ? 'U8' : 'F8_E4M3'
  if (dtype === 'U8' || dtype === 'F8_E4M3') {
    throw new CheckpointError(`Cannot use scales of dtype ${dtype} with this scheme: expected F32, F16 or BF16.`, {
      tensor: 'weight_scale',
    })
  }
  return dtype
}

function namedScaleDtype(name: string): ScaleDType {
  return match(name.replace('torch.', ''))
    .with('float8_e4m3fn', () => 'F8_E4M3' as const)
    .with('uint8', () => 'U8' as const)
    .otherwise((found) => {
      throw new CheckpointError(`Cannot use scales of type ${found}: expected float8_e4m3fn (NVFP4), uint8 (MX), or none.`)
    })
}

/** The stored `weight_scale` of a weight. */
export function scaleTensor(args: QuantizationArgs, rows: number, columns: number, scaleDtype: ScaleDType): StoredTensor {
  return { suffix: 'weight_scale', dtype: scaleDtypeOf(args, scaleDtype), shape: scaleShape(args, rows, columns) }
}

/** The bytes of `weight_scale`. Errors: Error when scales, codes or zero points do not fit the weight's shape and scheme. */
export function encodeScale(quantized: Quantized): Uint8Array {
  const { args, rows, columns, codes, scale, scaleDtype, zeroPoint } = quantized
  const scales = elementCount(scaleShape(args, rows, columns))
  if (codes.length !== rows * columns) throw new Error(`Cannot store [${rows}, ${columns}]: found ${codes.length} codes`)
  if (scale.length !== scales) throw new Error(`Cannot store [${rows}, ${columns}]: found ${scale.length} scales, expected ${scales}`)
  if ((zeroPoint === null) !== args.symmetric || (zeroPoint && zeroPoint.length !== scales)) {
    const expected = args.symmetric ? 'none, the scheme is symmetric' : `${scales}`
    throw new Error(`Cannot store [${rows}, ${columns}]: found ${zeroPoint?.length ?? 'no'} zero points, expected ${expected}`)
  }
  return encodeScales(scale, scaleDtype)
}

/** The values and shape of `weight_scale`, read from the checkpoint. */
export async function readScale(
  stored: StoredTensor,
  scaleDtype: ScaleDType,
  read: ReadSuffix,
): Promise<Pick<Quantized, 'scale' | 'scaleShape' | 'scaleDtype'>> {
  return { scale: decodeScales(await readStored(stored, read), scaleDtype), scaleShape: stored.shape, scaleDtype }
}

/** The bytes of a stored tensor. Errors: CheckpointError when there are more or fewer than its shape needs. */
export async function readStored(stored: StoredTensor, read: ReadSuffix): Promise<Uint8Array> {
  const { suffix, dtype, shape } = stored
  const bytes = await read(suffix)
  const expected = tensorBytes({ name: suffix, dtype, shape })
  if (bytes.length === expected) return bytes
  const message = `Cannot decode ${suffix}: found ${bytes.length} bytes, expected ${expected} for ${dtype} [${shape}].`
  throw new CheckpointError(message, { tensor: suffix })
}

/** Largest magnitudes as they are stored. Errors: CheckpointError naming the first that is none: negative, infinite or NaN. */
export function magnitudes(bytes: Uint8Array, suffix: string): Float32Array {
  const values = viewAs(Float32Array, bytes)
  const odd = values.findIndex((value) => !(value >= 0 && value < Number.POSITIVE_INFINITY))
  if (odd < 0) return values
  const message = `Cannot decode ${suffix}: found ${values[odd]} at element ${odd}, expected a magnitude: a finite number of at least 0.`
  throw new CheckpointError(message, { tensor: suffix })
}
