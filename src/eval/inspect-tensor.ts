import type { Quantized } from '../checkpoint/layouts/layout.ts'
import { openCheckpoint } from '../checkpoint/reader.ts'
import type { StoredTensorInfo } from '../checkpoint/tensor-reader.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { allLinears, openModel, readCodes } from '../models/open-model.ts'
import { decodeFloats, isStoredFloat } from '../numerics/float-dtype.ts'
import { type ValueStatistics, valueStatistics } from '../numerics/value-statistics.ts'
import { viewAs } from '../numerics/view.ts'
import { dequantize } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { checkInspectTensor } from './options.ts'

export interface InspectTensorOptions extends HubOptions {
  /** How many of the first values to give; 8 by default. */
  first?: number
}

/** The codes of a compressed linear, as numbers and as what they stand for. */
export interface InspectedCodes {
  /** `W4A16 g128` */
  scheme: string
  /** [rows, columns] */
  shape: [number, number]
  /** How often each code is stored: signed integers, or bit patterns of floats. */
  codes: { code: number; count: number }[]
  scale: ValueStatistics
  /** Of the weights that the codes stand for. */
  weight: ValueStatistics
  /** The first weights. */
  first: number[]
}

/** A tensor as it is stored and, where it belongs to a compressed linear, what is stored there in all. */
export interface InspectedTensor {
  name: string
  dtype: string
  shape: number[]
  bytes: number
  file: string
  /** Null for types that are no numbers to compute with: packed codes. */
  statistics: ValueStatistics | null
  first: number[]
  /** Null where the tensor does not belong to a compressed linear that can be read. */
  linear: InspectedCodes | null
}

const FIRST = 8

/**
 * Looks at one tensor of a checkpoint: `model.layers.0.mlp.up_proj.weight`, a tensor of a compressed linear (`….weight_packed`), or the linear
 * itself, for which its weight stands. Errors: CheckpointError with the nearest name for one that is not there.
 */
export async function inspectTensor(checkpoint: string, tensor: string, options: InspectTensorOptions = {}): Promise<InspectedTensor> {
  checkInspectTensor(checkpoint, tensor, options)
  const { first = FIRST } = options
  const { path, remote } = await modelFolder(checkpoint, { ...options, weights: 'headers' })
  const reader = await openCheckpoint(path, remote)
  try {
    const info = reader.info(storedAs(tensor, reader.tensors))
    // Words of packed codes are no numbers to look at: `linear` has what they stand for.
    const isPacked = /_packed$|\.qweight$|\.qzeros$/.test(info.name)
    const numbers = isPacked ? null : numbersOf(info, await reader.read(info.name))
    return {
      name: info.name,
      dtype: info.dtype,
      shape: [...info.shape],
      bytes: info.end - info.begin,
      file: info.file,
      statistics: numbers && valueStatistics(numbers),
      first: numbers ? [...numbers.subarray(0, first)] : [],
      linear: remote ? null : await codesOf(path, info.name, first),
    }
  } finally {
    await reader.close()
  }
}

/** The tensor that a name stands for: itself, or the weight of the module. */
function storedAs(name: string, tensors: ReadonlyMap<string, StoredTensorInfo>): string {
  const found = [name, `${name}.weight`, `${name}.weight_packed`, `${name}.qweight`].find((candidate) => tensors.has(candidate))
  if (found !== undefined) return found
  throw new CheckpointError(
    `Cannot inspect ${name}: there is no tensor of this name${didYouMean(name, tensors.keys())}, expected one of the ${tensors.size} that \`inspect\` lists.`,
    { tensor: name },
  )
}

type Numbers = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array

function numbersOf({ dtype }: StoredTensorInfo, bytes: Uint8Array): Numbers | null {
  if (isStoredFloat(dtype)) return decodeFloats(bytes, dtype)
  if (dtype === 'I8') return viewAs(Int8Array, bytes)
  if (dtype === 'U8' || dtype === 'BOOL') return bytes
  if (dtype === 'I16') return viewAs(Int16Array, bytes)
  if (dtype === 'U16') return viewAs(Uint16Array, bytes)
  if (dtype === 'I32') return viewAs(Int32Array, bytes)
  if (dtype === 'U32') return viewAs(Uint32Array, bytes)
  if (dtype === 'F64') return viewAs(Float64Array, bytes)
  if (dtype === 'I64') return Float64Array.from(viewAs(BigInt64Array, bytes), Number)
  return null
}

async function codesOf(path: string, tensor: string, first: number): Promise<InspectedCodes | null> {
  const source = await openModel(path).catch((error: unknown) => {
    // What is stored is shown all the same.
    if (error instanceof UserError) return null
    throw error
  })
  if (!source) return null
  try {
    const spec = allLinears(source.model).find(({ name }) => tensor.startsWith(`${name}.`))
    const stored = spec && source.compressed.get(spec.name)
    if (!spec || !stored?.scheme.weights) return null
    const quantized = await readCodes(source.reader, stored, stored.scheme.weights, spec)
    const weight = dequantize(quantized)
    return {
      scheme: schemeLabel(stored.scheme),
      shape: [quantized.rows, quantized.columns],
      codes: counted(quantized),
      scale: valueStatistics(quantized.scale),
      weight: valueStatistics(weight),
      first: [...weight.subarray(0, first)],
    }
  } finally {
    await source.close()
  }
}

function counted({ codes }: Quantized): InspectedCodes['codes'] {
  const counts = new Uint32Array(256)
  for (let i = 0; i < codes.length; i++) counts[codes[i] & 255]++
  const signed = codes instanceof Int8Array
  return [...counts]
    .map((count, pattern) => ({ code: signed && pattern > 127 ? pattern - 256 : pattern, count }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => a.code - b.code)
}
