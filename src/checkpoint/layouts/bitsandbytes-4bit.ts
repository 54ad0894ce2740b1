import { blockMaxima, fourBitValues, packFourBit, unpackFourBit } from '../../numerics/bitsandbytes-codes.ts'
import { DTYPE_BYTES, type DType, type FloatDType, type ScaleDType } from '../../numerics/dtype.ts'
import { decodeDynamic, dynamicMap, NESTED_BLOCK } from '../../numerics/dynamic-map.ts'
import { torchMean } from '../../numerics/torch-mean.ts'
import { bytesOf, viewAs } from '../../numerics/view.ts'
import { CheckpointError } from '../../util/errors.ts'
import { fourBitOf, fourBitScaleShape } from '../bitsandbytes-args.ts'
import { decodeQuantState, encodeQuantState, mostQuantStateBytes, quantStateSuffix } from '../quant-state.ts'
import type { QuantizationArgs } from '../quantization-config.ts'
import { magnitudes, type ReadSuffix, readStored } from '../scale-tensors.ts'
import type { Layout, Quantized, StoredTensor } from './layout.ts'

/**
 * NF4 and FP4 of bitsandbytes: `weight` [elements / 2, 1], two codes a byte with the first one high, in bytes that may be said to be of another type
 * (`bnb_4bit_quant_storage`); `weight.absmax` [blocks] F32, or U8 codes of the dynamic map with `weight.nested_absmax` and
 * `weight.nested_quant_map`; `weight.quant_map`, the 16 values; `weight.quant_state`, JSON in bytes, whose length depends on the offset in it.
 *
 * Blocks run over the flattened weight, row ends or not, and the last one may be shorter.
 */
export const layout: Layout = {
  format: 'bitsandbytes-4bit',
  method: 'bitsandbytes',
  scales: 'weight.absmax',
  applies: () => false,
  refuses: ({ weights }, rows, columns) => (weights ? problemOf(weights, rows, columns) : 'found no weights'),
  tensors,
  lengths: (args, rows, columns, dtype) => {
    const { type, blockSize, nested } = fourBitOf(args)
    if (!nested) return null
    return (weight) => {
      const offset = torchMean(blockMaxima(weight, blockSize))
      return new Map([
        [quantStateSuffix(type), encodeQuantState({ type, blockSize, dtype: storedType(dtype), rows, columns, offset }).length],
      ])
    }
  },
  encode,
  decode,
}

/** The types that codes are packed into, by torch's name. */
const STORAGE: Readonly<Record<string, DType>> = {
  uint8: 'U8',
  int8: 'I8',
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
  float64: 'F64',
}

/** Why a weight of [rows, columns] cannot be stored so; null where it can. */
function problemOf(args: QuantizationArgs, rows: number, columns: number): string | null {
  const { storage } = fourBitOf(args)
  if (rows === 0 || columns === 0) return `found a weight without elements, [${rows}, ${columns}], expected some`
  const bytes = Math.ceil((rows * columns) / 2)
  const packed = STORAGE[storage]
  if (packed !== undefined && bytes % DTYPE_BYTES[packed] === 0) return null
  return `found bnb_4bit_quant_storage ${storage} for ${bytes} bytes of codes, expected one of ${Object.keys(STORAGE).join(', ')} that divides them`
}

/** The type of a weight, where it is known; that of its scales where a checkpoint is read. */
function storedType(dtype: ScaleDType): FloatDType {
  return dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32'
}

function tensors(args: QuantizationArgs, rows: number, columns: number, dtype: ScaleDType): StoredTensor[] {
  const { type, blockSize, nested, storage } = fourBitOf(args)
  const problem = problemOf(args, rows, columns)
  if (problem !== null) throw new CheckpointError(`Cannot use bitsandbytes-4bit for weights: ${problem}.`)
  const blocks = Math.ceil((rows * columns) / blockSize)
  const packed = STORAGE[storage]
  const bytes = Math.ceil((rows * columns) / 2)
  const state = { type, blockSize, dtype: storedType(dtype), rows, columns }
  return [
    { suffix: 'weight', dtype: packed, shape: [bytes / DTYPE_BYTES[packed], 1] },
    { suffix: 'weight.absmax', dtype: nested ? 'U8' : 'F32', shape: [blocks] },
    ...(nested ? NESTED(blocks) : []),
    { suffix: 'weight.quant_map', dtype: 'F32', shape: [16] },
    { suffix: quantStateSuffix(type), dtype: 'U8', shape: [mostQuantStateBytes(state, nested)], varies: true },
  ]
}

const NESTED = (blocks: number): StoredTensor[] => [
  { suffix: 'weight.nested_absmax', dtype: 'F32', shape: [Math.ceil(blocks / NESTED_BLOCK)] },
  { suffix: 'weight.nested_quant_map', dtype: 'F32', shape: [256] },
]

function encode({ args, rows, columns, codes, scale, fourBit }: Quantized): Map<string, Uint8Array> {
  const { type, blockSize, nested } = fourBitOf(args)
  const blocks = Math.ceil((rows * columns) / blockSize)
  if (codes.length !== rows * columns || scale.length !== blocks || !fourBit || nested !== (fourBit.nested !== null))
    throw new RangeError(
      `Cannot store [${rows}, ${columns}]: found ${codes.length} codes and ${scale.length} scales, expected ${blocks} scales`,
    )
  const state = { type, blockSize, dtype: fourBit.dtype, rows, columns, offset: fourBit.nested?.offset ?? null }
  const bytes = new Map([
    ['weight', packFourBit(bytesOf(codes), type)],
    ['weight.absmax', fourBit.nested ? fourBit.nested.codes : bytesOf(scale)],
  ])
  if (fourBit.nested) {
    bytes.set('weight.nested_absmax', bytesOf(fourBit.nested.absmax))
    bytes.set('weight.nested_quant_map', bytesOf(dynamicMap()))
  }
  bytes.set('weight.quant_map', bytesOf(fourBitValues(type)))
  return bytes.set(quantStateSuffix(type), encodeQuantState(state))
}

async function decode(args: QuantizationArgs, rows: number, columns: number, dtype: ScaleDType, read: ReadSuffix): Promise<Quantized> {
  const { type, blockSize, nested } = fourBitOf(args)
  const stored = new Map(tensors(args, rows, columns, dtype).map((tensor) => [tensor.suffix, tensor]))
  const bytesIn = (suffix: string) => {
    const tensor = stored.get(suffix)
    if (!tensor) throw new RangeError(`Cannot decode ${suffix}: the format has no such tensor, expected one of ${[...stored.keys()]}`)
    return readStored(tensor, read)
  }
  const suffix = quantStateSuffix(type)
  const state = decodeQuantState(await read(suffix), suffix, { type, blockSize, rows, columns }, nested)
  requireValues(viewAs(Float32Array, await bytesIn('weight.quant_map')), fourBitValues(type), 'weight.quant_map', type)
  const codes = unpackFourBit(await bytesIn('weight'), rows * columns)
  const absmax = await bytesIn('weight.absmax')
  const whole = {
    args,
    rows,
    columns,
    codes,
    scaleShape: fourBitScaleShape(rows, columns, blockSize),
    scaleDtype: 'F32' as const,
    zeroPoint: null,
    globalScale: null,
  }
  if (state.offset === null) return { ...whole, scale: magnitudes(absmax, 'weight.absmax'), fourBit: { dtype: state.dtype, nested: null } }
  const scales = { codes: absmax, absmax: magnitudes(await bytesIn('weight.nested_absmax'), 'weight.nested_absmax'), offset: state.offset }
  const map = dynamicMap()
  const found = viewAs(Float32Array, await bytesIn('weight.nested_quant_map'))
  requireValues(found, map, 'weight.nested_quant_map', 'the dynamic map')
  const scale = decodeDynamic(scales.codes, scales.absmax, map)
  for (let i = 0; i < scale.length; i++) scale[i] += scales.offset
  return { ...whole, scale, fourBit: { dtype: state.dtype, nested: scales } }
}

/** Errors: CheckpointError naming the first code that stands for another value. */
function requireValues(found: Float32Array, expected: Float32Array, suffix: string, map: string): void {
  const odd = found.findIndex((value, i) => value !== expected[i])
  if (odd < 0) return
  const message = `Cannot decode ${suffix}: found ${found[odd]} for code ${odd}, expected ${expected[odd]} of ${map}.`
  throw new CheckpointError(message, { tensor: suffix })
}
