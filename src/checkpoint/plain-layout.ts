import type { DType } from '../numerics/dtype.ts'
import { bytesOf, viewAs } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Layout, Quantized, StoredTensor } from './layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from './quantization-config.ts'
import { encodeScale, readScale, readStored, scaleDtypeOf, scaleShape, scaleTensor } from './scale-tensors.ts'

/**
 * A layout that stores each code in a byte of its own under the weight's own name: `weight` I8 or F8_E4M3 [rows, columns] beside
 * `weight_scale` and, for asymmetric integers, `weight_zero_point` I8 in the shape of the scales. The formats of this kind differ in name
 * and in `applies`; `types` are the code types that a format admits.
 */
export function plainLayout(
  format: string,
  types: readonly QuantizationArgs['type'][],
  applies: (scheme: QuantizationScheme) => boolean,
): Layout {
  const tensors: Layout['tensors'] = (args, rows, columns, scaleDtype) => {
    const weight: StoredTensor = { suffix: 'weight', dtype: codeDtype(format, types, args), shape: [rows, columns] }
    const scale = scaleTensor(args, rows, columns, scaleDtype)
    if (args.symmetric) return [weight, scale]
    return [weight, scale, { suffix: 'weight_zero_point', dtype: 'I8', shape: scaleShape(args, rows, columns) }]
  }
  return {
    format,
    method: 'compressed-tensors',
    scales: 'weight_scale',
    applies,
    tensors,
    encode: (quantized) => {
      codeDtype(format, types, quantized.args)
      return encodePlain(quantized)
    },
    decode: async (args, rows, columns, scaleDtype, read) => {
      const [weight, scale, zeroPoint] = tensors(args, rows, columns, scaleDtype)
      const bytes = await readStored(weight, read)
      return {
        args,
        rows,
        columns,
        codes: weight.dtype === 'I8' ? viewAs(Int8Array, bytes) : bytes,
        ...(await readScale(scale, scaleDtypeOf(args, scaleDtype), read)),
        zeroPoint: zeroPoint ? viewAs(Int8Array, await readStored(zeroPoint, read)) : null,
        globalScale: null,
      }
    },
  }
}

function encodePlain(quantized: Quantized): Map<string, Uint8Array> {
  const scale = encodeScale(quantized)
  const bytes = new Map([
    ['weight', bytesOf(quantized.codes)],
    ['weight_scale', scale],
  ])
  if (quantized.zeroPoint) bytes.set('weight_zero_point', bytesOf(quantized.zeroPoint))
  return bytes
}

function codeDtype(format: string, types: readonly QuantizationArgs['type'][], args: QuantizationArgs): DType {
  if (types.includes(args.type)) {
    if (args.type === 'int' && args.num_bits >= 1 && args.num_bits <= 8) return 'I8'
    if (args.type === 'float' && args.num_bits === 8 && args.symmetric) return 'F8_E4M3'
  }
  const found = `${args.symmetric ? '' : 'asymmetric '}${args.type} with ${args.num_bits} bits`
  const expected = types.map((type) => (type === 'int' ? 'int with 1 to 8 bits' : 'symmetric float with 8 bits')).join(' or ')
  throw new CheckpointError(`Cannot use ${format} for weights: found ${found}, expected ${expected}.`)
}
