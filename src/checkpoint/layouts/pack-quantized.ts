import type { ScaleDType } from '../../numerics/dtype.ts'
import { packColumns, packedWords, packRows, unpackColumns, unpackRows } from '../../numerics/int-pack.ts'
import { bytesOf, viewAs } from '../../numerics/view.ts'
import { CheckpointError } from '../../util/errors.ts'
import type { SpareMemory } from '../../util/spare-memory.ts'
import { encodeGroupIndex, groupIndexTensor, readGroupIndex } from '../group-index.ts'
import type { QuantizationArgs } from '../quantization-config.ts'
import { encodeScale, type ReadSuffix, readScale, readStored, scaleShape, scaleTensor } from '../scale-tensors.ts'
import { weightKind } from '../weight-kind.ts'
import type { Layout, Quantized, StoredTensor } from './layout.ts'

/** Stored by compressed-tensors before 0.19 where `actorder` is `group`. */
const GROUP_INDEX = 'weight_g_idx'

/**
 * Integer weights alone (W4A16): codes of 1 to 8 bits packed without gaps into 32-bit words along each row, beside the scales and the
 * weight's shape, which says where padding begins. Zero points of groups and channels are packed down the rows.
 */
export const layout: Layout = {
  format: 'pack-quantized',
  method: 'compressed-tensors',
  scales: 'weight_scale',
  applies: (scheme) => weightKind(scheme) === 'int' && scheme.input_activations === null,
  tensors,
  encode,
  decode,
}

function tensors(args: QuantizationArgs, rows: number, columns: number, scaleDtype: ScaleDType): StoredTensor[] {
  if (args.type !== 'int' || args.num_bits < 1 || args.num_bits > 8) {
    throw new CheckpointError(
      `Cannot use pack-quantized for weights: found ${args.type} with ${args.num_bits} bits, expected int with 1 to 8.`,
    )
  }
  const stored: StoredTensor[] = [
    { suffix: 'weight_packed', dtype: 'I32', shape: [rows, packedWords(columns, args.num_bits)] },
    scaleTensor(args, rows, columns, scaleDtype),
    { suffix: 'weight_shape', dtype: 'I64', shape: [2] },
  ]
  if (!args.symmetric) stored.push(zeroPointTensor(args, rows, columns))
  if (args.actorder === 'group') stored.push(groupIndexTensor(GROUP_INDEX, columns))
  return stored
}

function zeroPointTensor(args: QuantizationArgs, rows: number, columns: number): StoredTensor {
  const shape = scaleShape(args, rows, columns)
  if (!packsZeroPoints(args)) return { suffix: 'weight_zero_point', dtype: 'I8', shape }
  return { suffix: 'weight_zero_point', dtype: 'I32', shape: [packedWords(shape[0], args.num_bits), shape[1]] }
}

/** compressed-tensors packs them for these two strategies and leaves the one of a whole tensor an int8. */
function packsZeroPoints({ strategy }: QuantizationArgs): boolean {
  return strategy === 'group' || strategy === 'channel'
}

function encode(quantized: Quantized, memory?: SpareMemory): Map<string, Uint8Array> {
  const { args, rows, columns, codes, scaleDtype, zeroPoint } = quantized
  tensors(args, rows, columns, scaleDtype)
  const scale = encodeScale(quantized)
  const bytes = new Map([
    ['weight_packed', bytesOf(packRows(viewAs(Int8Array, bytesOf(codes)), rows, columns, args.num_bits, memory))],
    ['weight_scale', scale],
    ['weight_shape', bytesOf(BigInt64Array.of(BigInt(rows), BigInt(columns)))],
  ])
  if (zeroPoint) bytes.set('weight_zero_point', encodeZeroPoint(zeroPoint, args, rows, columns))
  if (args.actorder === 'group') bytes.set(GROUP_INDEX, encodeGroupIndex(quantized))
  return bytes
}

function encodeZeroPoint(zeroPoint: Int8Array, args: QuantizationArgs, rows: number, columns: number): Uint8Array {
  if (!packsZeroPoints(args)) return bytesOf(zeroPoint)
  const [scaleRows, scaleColumns] = scaleShape(args, rows, columns)
  return bytesOf(packColumns(zeroPoint, scaleRows, scaleColumns, args.num_bits))
}

async function decode(
  args: QuantizationArgs,
  rows: number,
  columns: number,
  scaleDtype: ScaleDType,
  read: ReadSuffix,
  memory?: SpareMemory,
): Promise<Quantized> {
  const all = tensors(args, rows, columns, scaleDtype)
  const [packed, scale, shape] = all
  const zeroPoint = args.symmetric ? null : all[3]
  const order = args.actorder === 'group' ? await readGroupIndex(all[all.length - 1], args, read) : {}
  const stored = viewAs(BigInt64Array, await readStored(shape, read))
  if (stored[0] !== BigInt(rows) || stored[1] !== BigInt(columns)) {
    throw new CheckpointError(`Cannot decode weight_shape: found [${stored}], expected [${rows}, ${columns}].`, { tensor: 'weight_shape' })
  }
  const words = viewAs(Int32Array, await readStored(packed, read))
  return {
    args,
    rows,
    columns,
    codes: unpackRows(words, rows, columns, args.num_bits, memory),
    ...(await readScale(scale, scaleDtype, read)),
    zeroPoint: zeroPoint ? decodeZeroPoint(await readStored(zeroPoint, read), args, rows, columns) : null,
    globalScale: null,
    ...order,
  }
}

function decodeZeroPoint(bytes: Uint8Array, args: QuantizationArgs, rows: number, columns: number): Int8Array {
  if (!packsZeroPoints(args)) return viewAs(Int8Array, bytes)
  const [scaleRows, scaleColumns] = scaleShape(args, rows, columns)
  return unpackColumns(viewAs(Int32Array, bytes), scaleRows, scaleColumns, args.num_bits)
}
