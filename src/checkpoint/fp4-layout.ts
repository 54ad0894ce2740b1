import { decodeFloats, encodeFloats } from '../numerics/float-dtype.ts'
import { packFp4, unpackFp4 } from '../numerics/fp4-e2m1.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Layout, StoredTensor } from './layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from './quantization-config.ts'
import { encodeScale, readScale, readStored, scaleDtypeOf, scaleTensor } from './scale-tensors.ts'

/** The float32 beside the scales of NVFP4. */
const GLOBAL_SCALE: StoredTensor = { suffix: 'weight_global_scale', dtype: 'F32', shape: [1] }

/**
 * A layout of 4-bit floats: `weight_packed` U8 [rows, columns / 2], two E2M1 patterns a byte, `weight_scale` one byte a group, and for
 * groups within a scaled tensor (tensor_group) `weight_global_scale` F32 [1]. The formats of this kind differ in name and in `applies`.
 */
export function fp4Layout(format: string, applies: (scheme: QuantizationScheme) => boolean): Layout {
  const tensors: Layout['tensors'] = (args, rows, columns, scaleDtype) => {
    assertFp4(format, args, columns)
    const packed: StoredTensor = { suffix: 'weight_packed', dtype: 'U8', shape: [rows, columns / 2] }
    const scale = scaleTensor(args, rows, columns, scaleDtype)
    return args.strategy === 'tensor_group' ? [packed, scale, GLOBAL_SCALE] : [packed, scale]
  }
  return {
    format,
    method: 'compressed-tensors',
    scales: 'weight_scale',
    applies,
    tensors,
    encode: (quantized) => {
      const { args, columns, codes, globalScale } = quantized
      assertFp4(format, args, columns)
      if (!(codes instanceof Uint8Array))
        throw new Error('Cannot store 4-bit floats: found signed codes, expected bit patterns in a Uint8Array')
      const scale = encodeScale(quantized)
      const bytes = new Map([
        ['weight_packed', packFp4(codes)],
        ['weight_scale', scale],
      ])
      if (globalScale !== null) bytes.set(GLOBAL_SCALE.suffix, encodeFloats(Float32Array.of(globalScale), 'F32'))
      return bytes
    },
    decode: async (args, rows, columns, scaleDtype, read) => {
      const [packed, scale, globalScale] = tensors(args, rows, columns, scaleDtype)
      return {
        args,
        rows,
        columns,
        codes: unpackFp4(await readStored(packed, read)),
        ...(await readScale(scale, scaleDtypeOf(args, scaleDtype), read)),
        zeroPoint: null,
        globalScale: globalScale ? readGlobalScale(await readStored(globalScale, read)) : null,
      }
    },
  }
}

function readGlobalScale(bytes: Uint8Array): number {
  const [value] = decodeFloats(bytes, 'F32')
  if (value > 0 && Number.isFinite(value)) return value
  const { suffix } = GLOBAL_SCALE
  throw new CheckpointError(`Cannot decode ${suffix}: found ${value}, expected one positive number.`, { tensor: suffix })
}

function assertFp4(format: string, { type, num_bits: bits, symmetric }: QuantizationArgs, columns: number): void {
  if (type !== 'float' || bits !== 4 || !symmetric) {
    const found = `${symmetric ? '' : 'asymmetric '}${type} with ${bits} bits`
    throw new CheckpointError(`Cannot use ${format} for weights: found ${found}, expected symmetric float with 4 bits.`)
  }
  if (columns % 2 !== 0) throw new CheckpointError(`Cannot use ${format} for weights: found ${columns} columns, expected an even number.`)
}
