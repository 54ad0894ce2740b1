import type { Tensor } from '@tensorflow/tfjs-core'
import type { StoredTensor } from '../checkpoint/layouts/layout.ts'
import type { TensorData } from '../checkpoint/tensor.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { attentionOf } from '../models/attention-of.ts'
import { readWeight, transpose } from '../models/open-model.ts'
import { loadBias } from '../models/weights.ts'
import type { Linear } from '../modifiers/modifier.ts'
import { elementCount } from '../numerics/dtype.ts'
import { encodeFloats, isStoredFloat } from '../numerics/float-dtype.ts'
import type { StageStatistics } from '../report/statistics.ts'
import type { Range } from '../schemes/activation-range.ts'
import { activationBytes, activationTensors, cacheBytes, cacheTensors } from '../schemes/activation-scales.ts'
import { codesChecksum } from '../schemes/codes-checksum.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import type { CacheRanges } from './activation-ranges.ts'
import { ExpertCounts } from './expert-tokens.ts'
import type { Plan } from './plan.ts'
import { type PlannedLinear, plannedScaleDtype } from './staged-linear.ts'

/** A linear on its way: what the plan says of it, what the modifiers edit, and what it was. */
export interface LinearInHand {
  readonly planned: PlannedLinear
  readonly linear: Linear & { weight: Float32Array }
  /** As read; modifiers may edit the linear's own. */
  readonly originalBias: Float32Array | null
  /** Of its inputs on the calibration rows, where the scheme stores it. */
  inputRange: Range | null
  /** Whether its tensors were taken to be written before the layer is done. */
  isTaken: boolean
}

/** A layer while its stages are worked on. */
export interface LayerInHand {
  /** The number of layers for the head. */
  readonly index: number
  readonly name: string
  /** Its linears as the plan has them. */
  readonly planned: readonly PlannedLinear[]
  /** Norms and the like on the engine; empty in runs without data. */
  readonly parameters: Map<string, Tensor>
  /** Of all stages so far. */
  readonly linears: LinearInHand[]
  readonly statistics: StageStatistics[]
  /** Tensors that are not compressed and yet differ from the original's, by full name. */
  readonly edited: Map<string, Float32Array>
  /** Names of the weights and other tensors that were rescaled: what becomes of them cannot be compared with the original. */
  readonly rescaled: Set<string>
  /** What the key-value cache is observed with, where it is quantized. */
  readonly cache: CacheRanges | null
  /** What was measured of inputs that several of its stages share. */
  readonly measured: Map<string, unknown>
  /** Tokens of its experts, in runs with data. */
  readonly experts: ExpertCounts
}

/** A layer with nothing done to it. */
export function layerInHand(
  { linears }: Plan,
  index: number,
  name: string,
  parameters = new Map<string, Tensor>(),
  cache: LayerInHand['cache'] = null,
): LayerInHand {
  const planned = linears.filter(({ layer }) => layer === index)
  return {
    index,
    name,
    planned,
    parameters,
    linears: [],
    statistics: [],
    edited: new Map(),
    rescaled: new Set(),
    cache,
    measured: new Map(),
    experts: new ExpertCounts(name),
  }
}

/** Reads weights and biases of a stage's linears; weights may lie in `memory`. */
export async function readLinears(plan: Plan, planned: readonly PlannedLinear[], memory?: SpareMemory): Promise<LinearInHand[]> {
  const inHand: LinearInHand[] = []
  for (const entry of planned) {
    const { spec, scheme } = entry
    const { name, rows, columns } = spec
    const dtype = plannedScaleDtype(entry)
    const weight = await readWeight(plan.source, spec, 'quantize', memory)
    const originalBias = await loadBias(plan.source, spec)
    const bias = originalBias?.slice() ?? null
    inHand.push({
      planned: entry,
      linear: { name, rows, columns, dtype, ...biasType(plan, spec), scheme, weight, bias, quantized: null, report: null },
      originalBias,
      inputRange: null,
      isTaken: false,
    })
  }
  return inHand
}

/** A bias keeps its own type, which need not be that of the scales. */
function biasType({ source: { reader } }: Plan, { name, bias }: LinearSpec): Pick<Linear, 'biasDtype'> {
  if (!bias) return {}
  const { dtype } = reader.info(`${name}.bias`)
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' ? { biasDtype: dtype } : {}
}

/** Tensors of compressed linears, and the arrays of codes that nobody looks at once these are written. */
export interface EncodedLinears {
  readonly tensors: readonly TensorData[]
  readonly codes: readonly (Int8Array | Uint8Array)[]
}

/** The tensors of the compressed linears of a layer so far, but for those that were taken before. */
export function takeEncoded({ linears }: LayerInHand, memory: SpareMemory): EncodedLinears {
  const left = linears.filter(({ isTaken }) => !isTaken)
  const encoded = {
    tensors: left.flatMap((entry) => encodeLinear(entry, memory)),
    codes: left.flatMap(({ linear }) => linear.quantized?.codes ?? []),
  }
  for (const entry of left) {
    entry.isTaken = true
    entry.linear.quantized = null
  }
  return encoded
}

/** The tensors that are stored for a layer beside those that are copied: compressed linears unless they were taken, then what was edited. */
export function encodeLayer(plan: Plan, layer: LayerInHand): TensorData[] {
  const { linears, edited } = layer
  for (const { linear, originalBias } of linears) {
    if (!linear.bias || !originalBias || linear.bias.every((value, i) => value === originalBias[i])) continue
    edited.set(`${linear.name}.bias`, linear.bias)
    layer.rescaled.add(`${linear.name}.bias`)
  }
  return [
    ...linears.filter(({ isTaken }) => !isTaken).flatMap((entry) => encodeLinear(entry)),
    ...encodeCache(plan, layer),
    ...[...edited].map(([name, values]) => encodeEdited(plan, name, asStored(layer, name, values))),
  ]
}

function encodeLinear({ planned, linear, inputRange }: LinearInHand, memory?: SpareMemory): TensorData[] {
  const { layout, spec, scheme } = planned
  if (!scheme) return []
  if (!linear.quantized || !layout) throw new RangeError(`Cannot store ${spec.name}: it was not compressed, expected codes`)
  if (linear.report) linear.report.checksum = codesChecksum(linear.quantized)
  const ranges = inputRange ? activationBytes(scheme, planned.dtype, inputRange) : []
  const encoded = new Map([...layout.encode(linear.quantized, memory), ...ranges])
  const stored = [
    ...layout.tensors(linear.quantized.args, spec.rows, spec.columns, plannedScaleDtype(planned)),
    ...activationTensors(scheme, planned.dtype),
  ]
  return withBytes(spec.name, stored, encoded)
}

function encodeCache({ cache: args, source: { model }, cacheDtype }: Plan, { name, cache }: LayerInHand): TensorData[] {
  if (!cache || !args) return []
  const { module, kvHeads } = attentionOf(model)
  return withBytes(`${name}.${module}`, cacheTensors(args, kvHeads, cacheDtype), cacheBytes(args, cacheDtype, cache.ranges))
}

function withBytes(module: string, stored: readonly StoredTensor[], encoded: ReadonlyMap<string, Uint8Array>): TensorData[] {
  return stored.map(({ suffix, dtype, shape, varies }) => {
    const bytes = encoded.get(suffix)
    if (!bytes) throw new RangeError(`Cannot store ${module}.${suffix}: it has no bytes, expected ${elementCount(shape)} ${dtype}`)
    return { name: `${module}.${suffix}`, dtype, shape: varies ? [bytes.length] : shape, bytes }
  })
}

/** A weight the way round that its linear is stored. */
function asStored({ planned }: LayerInHand, name: string, values: Float32Array): Float32Array {
  const spec = planned.find((entry) => `${entry.spec.name}.weight` === name)?.spec
  return spec?.transposed ? transpose(values, spec.rows, spec.columns) : values
}

function encodeEdited({ source: { reader } }: Plan, name: string, values: Float32Array): TensorData {
  const { dtype, shape } = reader.info(name)
  if (!isStoredFloat(dtype) || dtype === 'F8_E4M3')
    throw new RangeError(`Cannot store ${name}: its type is ${dtype}, expected F32, F16 or BF16`)
  return { name, dtype, shape, bytes: encodeFloats(values, dtype) }
}
