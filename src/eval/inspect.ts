import { parseQuantizationConfig, readConfig } from '../checkpoint/config.ts'
import { exchangeSettings } from '../checkpoint/exchange-settings.ts'
import { isJsonObject, type JsonObject } from '../checkpoint/json-file.ts'
import { moduleOfTensor } from '../checkpoint/module-of.ts'
import { nameSays } from '../checkpoint/name-hint.ts'
import { quantStateShape } from '../checkpoint/quant-state.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { type CheckpointReader, openCheckpoint } from '../checkpoint/reader.ts'
import { tensorBytes } from '../checkpoint/shards.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { exchangedShape } from '../models/stored-matrices.ts'
import { elementCount } from '../numerics/dtype.ts'
import { viewAs } from '../numerics/view.ts'
import { matchTargets } from '../schemes/match.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { UserError } from '../util/errors.ts'
import { formatHint } from './format-hint.ts'
import { checkInspect } from './options.ts'
import { type SizeReport, sizeReport } from './size-report.ts'

/** One module of a checkpoint: the tensors that share a name up to the last dot. */
export interface InspectedModule {
  name: string
  /** `W4A16 g128` for a compressed linear, else the stored types: `BF16`. */
  kind: string
  /** Logical shape of the weight, where its format is known; else the shape of the largest tensor as it is stored. */
  shape: number[]
  bytes: number
  /** Bits stored per weight, scales and zero points included. */
  bitsPerWeight: number
}

/** The modules of a decoder layer, or those outside of all. */
export interface InspectedLayer {
  /** `model.layers.3`, or `outside of layers`. */
  name: string
  modules: number
  bytes: number
  bitsPerWeight: number
  kinds: string[]
}

export interface InspectOptions extends HubOptions {
  /** The original, to compare the size with. */
  against?: string
}

export interface Inspection {
  path: string
  modelType: string | null
  /** The `format` of quantization_config, its `quant_method` where it has none (`gptq`, `awq`), `bitsandbytes-4bit` or `bitsandbytes-8bit`; null for what is not compressed. */
  format: string | null
  /** Settings of kernels that a GPTQ or AWQ checkpoint names (`use_exllama`, `fuse_max_seq_len`), and AWQ's `version`; empty for others. */
  settings: JsonObject
  /** The weight files with their sizes on disk. */
  files: { name: string; bytes: number }[]
  tensors: number
  bytes: number
  /** Tensors and bytes by stored type. */
  dtypes: Record<string, { tensors: number; bytes: number }>
  modules: InspectedModule[]
  /** Modules of each decoder layer together, then what stands outside of them. */
  layers: InspectedLayer[]
  /** Against the original, where one was given; with the bytes of all tensors of both. */
  size: (SizeReport & { before: number; after: number }) | null
  /** What could not be read from config.json, and what is shown instead. */
  notes: string[]
}

/** What config.json says about compression, as far as it can be read. */
interface Compression {
  format: string | null
  /** Schemes of the compressed modules. */
  schemes: ReadonlyMap<string, QuantizationScheme>
  notes: string[]
}

/**
 * Looks into any safetensors checkpoint by its headers and config.json alone; neither the architecture nor the way it is compressed need be
 * known. Errors: CheckpointError where the folder holds none.
 */
export async function inspect(checkpoint: string, { against, ...options }: InspectOptions = {}): Promise<Inspection> {
  checkInspect(checkpoint, { ...options, ...(against !== undefined && { against }) })
  const { path, id, warnings, remote } = await modelFolder(checkpoint, { ...options, weights: 'headers' })
  const config = await readConfig(path)
  const reader = await openCheckpoint(path, remote)
  try {
    const tensors = [...reader.tensors.values()]
    const byModule = groupByModule(tensors)
    const { format, schemes, notes } = withHint(readCompression(config, byModule), tensors, id)
    const exchange = exchangeSettings(config)
    const modules: InspectedModule[] = []
    for (const [name, own] of byModule) modules.push(await inspectModule(reader, name, own, schemes.get(name)))
    const dtypes: Inspection['dtypes'] = {}
    for (const tensor of tensors) {
      const entry = dtypes[tensor.dtype] ?? { tensors: 0, bytes: 0 }
      dtypes[tensor.dtype] = { tensors: entry.tensors + 1, bytes: entry.bytes + tensorBytes(tensor) }
    }
    const bytes = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
    return {
      path: checkpoint,
      modelType: typeof config.model_type === 'string' ? config.model_type : null,
      format,
      settings: exchange?.settings ?? {},
      files: [...reader.files].map(([name, bytes]) => ({ name, bytes })),
      tensors: tensors.length,
      bytes,
      dtypes,
      modules,
      layers: byLayer(modules),
      size: against === undefined ? null : sized(await bytesOf(against, options), bytes),
      notes: [...warnings, ...notes, ...(exchange?.notes ?? [])],
    }
  } finally {
    await reader.close()
  }
}

const sized = (before: number, after: number) => ({ before, after, ...sizeReport(before, after) })

/** Bytes of all tensors of a checkpoint. */
async function bytesOf(checkpoint: string, options: HubOptions): Promise<number> {
  const { path, remote } = await modelFolder(checkpoint, { ...options, weights: 'headers' })
  const reader = await openCheckpoint(path, remote)
  await reader.close()
  return [...reader.tensors.values()].reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
}

/** A block in a list of blocks, by the names of the field. */
const LAYER = /^(?:.*?\.)?(?:layers|h|blocks|block|layer)\.\d+(?=\.)/

function byLayer(modules: readonly InspectedModule[]): InspectedLayer[] {
  const layers = new Map<string, InspectedModule[]>()
  for (const module of modules) {
    const name = LAYER.exec(module.name)?.[0] ?? 'outside of layers'
    layers.set(name, [...(layers.get(name) ?? []), module])
  }
  const sorted = [...layers].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
  return sorted.map(([name, own]) => {
    const bytes = own.reduce((sum, module) => sum + module.bytes, 0)
    const weights = own.reduce((sum, { shape }) => sum + elementCount(shape), 0)
    const kinds = [...new Set(own.map(({ kind }) => kind))].sort()
    return { name, modules: own.length, bytes, bitsPerWeight: (8 * bytes) / Math.max(1, weights), kinds }
  })
}

/** Where config.json says nothing of compression, and the tensors do, or the name alone. */
function withHint(found: Compression, tensors: readonly TensorInfo[], id: string): Compression {
  if (found.format !== null) return found
  const hint = formatHint(tensors)
  if (hint === null) {
    const said = nameSays(id)
    if (said === null) return found
    return { ...found, notes: [...found.notes, `${said}, but neither config.json nor the tensors do: they are those of a plain model`] }
  }
  const note = `config.json has no quantization_config, but the tensors are stored as ${hint} has them. Loaders need that section`
  return { ...found, format: hint, notes: [...found.notes, note] }
}

function groupByModule<T extends TensorInfo>(tensors: readonly T[]): Map<string, T[]> {
  const modules = new Map<string, T[]>()
  for (const tensor of tensors) {
    const module = moduleOfTensor(tensor.name)
    modules.set(module, [...(modules.get(module) ?? []), tensor])
  }
  return modules
}

function readCompression(config: Readonly<JsonObject>, modules: ReadonlyMap<string, readonly TensorInfo[]>): Compression {
  try {
    const quantization = parseQuantizationConfig(config)
    if (!quantization) return { format: null, schemes: new Map(), notes: [] }
    const { format, config_groups, ignore } = quantization
    return { format, schemes: schemesOf(Object.values(config_groups), ignore, modules), notes: [] }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return {
      format: namedFormat(config.quantization_config),
      schemes: new Map(),
      notes: [`${error.message.replace(/\.$/, '')}. Modules are shown by the types and shapes that are stored.`],
    }
  }
}

/** What a quantization_config that cannot be read calls itself. */
function namedFormat(stored: unknown): string {
  const { format, quant_method: method } = isJsonObject(stored) ? stored : {}
  const names = method === 'compressed-tensors' ? [format, method] : [method, format]
  return names.find((name) => typeof name === 'string') ?? 'unknown'
}

/** What a compressed module has and no other. */
const SCALED = ['weight_scale', 'qweight', 'weight.absmax', 'SCB']

/** Schemes of the compressed modules, from config.json's groups: a module is compressed where scales are stored beside it. */
function schemesOf(
  groups: readonly QuantizationScheme[],
  ignore: readonly string[],
  modules: ReadonlyMap<string, readonly TensorInfo[]>,
): Map<string, QuantizationScheme> {
  const linears = [...modules].filter(([name, tensors]) =>
    tensors.some((tensor) => SCALED.some((suffix) => tensor.name === `${name}.${suffix}`)),
  )
  const { assigned } = matchTargets(
    linears.map(([name]) => ({ name, className: 'Linear' })),
    groups,
    ignore,
  )
  return new Map([...assigned].map(([name, index]) => [name, groups[index]]))
}

async function inspectModule(
  reader: CheckpointReader,
  name: string,
  tensors: readonly TensorInfo[],
  scheme: QuantizationScheme | undefined,
): Promise<InspectedModule> {
  const bytes = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  const shape = await logicalShape(reader, name, tensors, scheme)
  const kind = scheme ? schemeLabel(scheme) : [...new Set(tensors.map(({ dtype }) => dtype))].join(' + ')
  return { name, kind, shape, bytes, bitsPerWeight: (8 * bytes) / Math.max(1, elementCount(shape)) }
}

/**
 * The shape that a module's weight stands for. Packed integers store it beside them as `weight_shape`; 4-bit floats are two to a byte of
 * `weight_packed` along each row (compressed-tensors' nvfp4 and mxfp4 compressors). GPTQ and AWQ show it in their scales, bitsandbytes stores it as text.
 */
async function logicalShape(
  reader: CheckpointReader,
  name: string,
  tensors: readonly TensorInfo[],
  scheme: QuantizationScheme | undefined,
): Promise<number[]> {
  const stored = (suffix: string) => tensors.find((tensor) => tensor.name === `${name}.${suffix}`)
  if (stored('weight_shape')?.dtype === 'I64') {
    return [...viewAs(BigInt64Array, await reader.read(`${name}.weight_shape`))].map(Number)
  }
  const exchanged = stored('qweight')
  if (exchanged) return [...exchangedShape(reader.tensors, name, exchanged.shape)]
  const state = tensors.find(({ name: tensor }) => tensor.startsWith(`${name}.weight.quant_state.`))
  if (state) return quantStateShape(await reader.read(state.name)) ?? [...(stored('weight') ?? state).shape]
  const packed = stored('weight_packed')
  const bits = scheme?.weights?.num_bits
  if (packed?.dtype === 'U8' && bits === 4) return packed.shape.map((size, axis) => (axis === packed.shape.length - 1 ? size * 2 : size))
  const weight = stored('weight') ?? packed ?? largest(tensors)
  return [...weight.shape]
}

function largest(tensors: readonly TensorInfo[]): TensorInfo {
  return tensors.reduce((best, tensor) => (elementCount(tensor.shape) > elementCount(best.shape) ? tensor : best))
}
