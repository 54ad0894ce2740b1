import { basename, resolve } from 'node:path'
import { parseQuantizationConfig, readConfig } from '../checkpoint/config.ts'
import type { Layout, Quantized } from '../checkpoint/layouts/layout.ts'
import { layoutFor } from '../checkpoint/layouts.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { openCheckpoint } from '../checkpoint/reader.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import { DTYPE_BYTES, elementCount, type ScaleDType } from '../numerics/dtype.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { decodeFloatsInto, isStoredFloat } from '../numerics/float-dtype.ts'
import { bytesOf } from '../numerics/view.ts'
import { matchTargets } from '../schemes/match.ts'
import { assertFinite, dequantize } from '../schemes/quantize.ts'
import { groupSizeProblem } from '../schemes/scheme.ts'
import { CheckpointError } from '../util/errors.ts'
import { remembered } from '../util/remembered.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import type { LinearSpec, Model, ParameterSpec } from './architecture.ts'
import type { Config } from './config-values.ts'
import { expertReader, readModel } from './read-model.ts'
import { towerPatterns } from './towers.ts'

/** How a linear of a compressed checkpoint is stored. */
export interface StoredScheme {
  readonly scheme: QuantizationScheme
  readonly layout: Layout
}

/** A checkpoint folder with its architecture: original or compressed, read by name, one tensor at a time. */
export interface OpenModel {
  readonly path: string
  /** The folder's name. */
  readonly name: string
  readonly config: Config
  readonly model: Model
  readonly reader: TensorReader
  /** By linear name; empty for a checkpoint that is not compressed. */
  readonly compressed: ReadonlyMap<string, StoredScheme>
  close(): Promise<void>
}

/**
 * Opens a checkpoint folder and checks that every tensor the architecture names is there in the right shape.
 * Errors: CheckpointError naming file, tensor, what was found and what was expected.
 */
export async function openModel(path: string): Promise<OpenModel> {
  const config = await readConfig(path)
  const stored = await openCheckpoint(path)
  try {
    const reader = await expertReader(config, stored)
    const described = await readModel(config, reader)
    requireLayers(config, described, reader)
    const compressed = await storedSchemes(config, described, reader)
    const model = withStoredBiases(described, reader, compressed)
    const opened: OpenModel = { path, name: basename(resolve(path)), config, model, reader, compressed, close: () => reader.close() }
    checkTensors(opened)
    return opened
  } catch (error) {
    await stored.close()
    throw error
  }
}

/** Every module that targets and ignore lists can name, with the class names of the field. */
export function modules(model: Model): { name: string; className: string }[] {
  // A norm's weight and its bias are one module; tensors of other names belong to modules that have no class of their own.
  const other = (specs: ParameterSpec[]) =>
    specs.filter(({ name }) => name.endsWith('.weight')).map(({ name, className = 'RMSNorm' }) => ({ name: moduleOf(name), className }))
  const linear = (specs: LinearSpec[]) => specs.map(({ name }) => ({ name, className: 'Linear' }))
  const layers = Array.from({ length: model.layers }, (_, layer) => [...linear(model.linears(layer)), ...other(model.parameters(layer))])
  return [...other(model.outerParameters()), ...layers.flat(), ...linear([model.head()])]
}

/**
 * Modules that loaders may take for linears and that are not compressed here, for the ignore list: routers, projections outside the layers,
 * and all matrices that the architecture does not name, such as those of a vision tower.
 */
export function otherLinears({ model, reader }: OpenModel): string[] {
  const linears = new Set(allLinears(model).map(({ name }) => name))
  const own = modules(model).filter(({ name, className }) => (className === 'Linear' || className === 'Router') && !linears.has(name))
  const known = tensorNames(model)
  const foreign = [...reader.tensors.values()].filter(
    ({ name, shape }) => shape.length === 2 && name.endsWith('.weight') && !known.has(name) && !linears.has(moduleOf(name)),
  )
  return [
    ...new Set([...own.map(({ name }) => name), ...foreign.map(({ name }) => moduleOf(name))]),
    ...towerPatterns(reader.tensors.keys()),
  ]
}

function moduleOf(weight: string): string {
  return weight.slice(0, -'.weight'.length)
}

/** The names of all tensors of an uncompressed checkpoint. */
export function tensorNames(model: Model): ReadonlySet<string> {
  const parameters = Array.from({ length: model.layers }, (_, layer) => model.parameters(layer)).flat()
  return new Set([
    ...[...model.outerParameters(), ...parameters].map(({ name }) => name),
    ...allLinears(model).flatMap(({ name, bias }) => (bias ? [`${name}.weight`, `${name}.bias`] : [`${name}.weight`])),
  ])
}

/** All linears, lm_head last. */
export function allLinears(model: Model): LinearSpec[] {
  return [...Array.from({ length: model.layers }, (_, layer) => model.linears(layer)).flat(), model.head()]
}

function requireLayers(config: Config, model: Model, { tensors }: TensorReader): void {
  const prefix = `${model.layerName(model.layers - 1)}.`
  for (const name of tensors.keys()) if (name.startsWith(prefix)) return
  throw new CheckpointError(
    `Cannot use the checkpoint: num_hidden_layers is ${config.num_hidden_layers ?? model.layers} in config.json, but no tensor is named ${prefix}*, expected one layer for each.`,
    { file: 'config.json', tensor: prefix },
  )
}

/**
 * A bias that stands beside a GPTQ or AWQ linear is added, whatever the architecture has: AutoGPTQ gave every linear one, of zeros where
 * there was none.
 */
function withStoredBiases(model: Model, reader: TensorReader, compressed: ReadonlyMap<string, StoredScheme>): Model {
  const isStored = ({ name, bias }: LinearSpec) => bias || (compressed.get(name)?.layout.scales === 'scales' && reader.has(`${name}.bias`))
  if (!allLinears(model).some((spec) => !spec.bias && isStored(spec))) return model
  const withBias = (spec: LinearSpec): LinearSpec => ({ ...spec, bias: isStored(spec) })
  return { ...model, linears: (layer) => model.linears(layer).map(withBias), head: () => withBias(model.head()) }
}

/** GPTQ and AWQ say nothing of which linears they leave out: those without scales are. */
async function storedSchemes(config: Config, model: Model, reader: TensorReader): Promise<Map<string, StoredScheme>> {
  const quantization = parseQuantizationConfig(config)
  const stored = new Map<string, StoredScheme>()
  if (!quantization) return stored
  const groups = Object.values(quantization.config_groups)
  const { assigned } = matchTargets(modules(model), groups, quantization.ignore)
  const layoutOf = remembered(layoutFor)
  for (const { name } of allLinears(model)) {
    const scheme = groups[assigned.get(name) ?? -1]
    if (!scheme?.weights) continue
    const layout = await layoutOf(scheme)
    if (layout.method === 'compressed-tensors' || reader.has(`${name}.${layout.scales}`)) stored.set(name, { scheme, layout })
  }
  return stored
}

function checkTensors({ model, reader, compressed }: OpenModel): void {
  const check = (name: string, shape: readonly number[]) => {
    const info = reader.info(name)
    if (info.shape.join() !== shape.join()) {
      const message = `Cannot use the checkpoint: ${name} has shape [${info.shape}], expected [${shape}] from config.json.`
      throw new CheckpointError(message, { file: info.file, tensor: name })
    }
  }
  for (const spec of allLinears(model)) {
    if (spec.name === model.head().name && model.tied && !compressed.has(spec.name)) continue
    const stored = compressed.get(spec.name)
    if (spec.bias) check(`${spec.name}.bias`, [spec.rows])
    if (!stored?.scheme.weights) check(`${spec.name}.weight`, spec.transposed ? [spec.columns, spec.rows] : [spec.rows, spec.columns])
    else {
      const problem = groupSizeProblem(stored.scheme.weights, spec.columns)
      if (problem !== null) {
        const message = `Cannot use the checkpoint: the scheme that config.json gives ${spec.name} does not fit: ${problem}.`
        throw new CheckpointError(message, { file: 'config.json', tensor: `${spec.name}.weight` })
      }
      const scaleDtype = scaleDtypeOf(reader, stored.layout, spec.name)
      for (const { suffix, shape, varies } of stored.layout.tensors(stored.scheme.weights, spec.rows, spec.columns, scaleDtype)) {
        const name = `${spec.name}.${suffix}`
        // Text of JSON, which other programs may put otherwise.
        check(name, varies && reader.info(name).shape.length === 1 ? reader.info(name).shape : shape)
      }
    }
  }
  const parameters = Array.from({ length: model.layers }, (_, layer) => model.parameters(layer)).flat()
  for (const { name, shape } of [...model.outerParameters(), ...parameters]) check(name, shape)
}

/** The type of a compressed linear's scales. Errors: CheckpointError where scales are never stored so. */
export function scaleDtypeOf(reader: TensorReader, { scales }: Pick<Layout, 'scales'>, linear: string): ScaleDType {
  const { dtype, file } = reader.info(`${linear}.${scales}`)
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || dtype === 'F8_E4M3' || dtype === 'U8') return dtype
  const tensor = `${linear}.${scales}`
  const message = `Cannot use ${tensor} of ${file}: it is stored as ${dtype}, expected scales in F32, F16, BF16, F8_E4M3 or U8.`
  throw new CheckpointError(message, { file, tensor })
}

/**
 * A linear's weight [rows, columns] as float32, dequantized where it is stored compressed; a tied lm_head reads the embedding. It may lie in
 * `memory`. Errors: CheckpointError naming the tensor when a value is not finite, and the `action` that it is read for.
 */
export async function readWeight(
  { model, reader, compressed }: OpenModel,
  spec: LinearSpec,
  action = 'compute with',
  memory?: SpareMemory,
): Promise<Float32Array> {
  const { name, rows, columns } = spec
  const stored = compressed.get(name)
  if (stored?.scheme.weights) return dequantize(await readSoundCodes(reader, stored, stored.scheme.weights, spec))
  const tensor = storedName(model, name)
  const weight = await readFinite(reader, tensor, action, memory)
  return spec.transposed ? transpose(weight, columns, rows) : weight
}

/** `TensorReader.readFloats` by chunks. Errors: CheckpointError naming the tensor when a value is not finite. */
async function readFinite(reader: TensorReader, name: string, action: string, memory?: SpareMemory): Promise<Float32Array> {
  const { dtype, shape, file } = reader.info(name)
  // Chunks of what is rewritten are rounded.
  if (!isStoredFloat(dtype) || reader.rewritten.has(name)) {
    const values = await reader.readFloats(name)
    assertFinite(values, name, file, action)
    return values
  }
  const count = elementCount(shape)
  const values = memory ? new Float32Array(memory.take(4 * count)) : new Float32Array(count)
  let done = 0
  let allFinite = true
  for await (const chunk of reader.readChunks(name)) {
    allFinite = decodeFloatsInto(chunk, dtype, values.subarray(done)) && allFinite
    done += chunk.length / DTYPE_BYTES[dtype]
  }
  if (!allFinite) assertFinite(values, name, file, action)
  return values
}

/**
 * What is stored for a compressed linear, to compute with or to write elsewhere. Errors: CheckpointError as `readCodes`, and naming tensor and
 * file for a tensor of another type than the layout stores, and for a scale that is not finite.
 */
export async function readSoundCodes(
  reader: TensorReader,
  stored: StoredScheme,
  args: QuantizationArgs,
  spec: LinearSpec,
): Promise<Quantized> {
  const { layout } = stored
  for (const { suffix, dtype } of layout.tensors(args, spec.rows, spec.columns, scaleDtypeOf(reader, layout, spec.name))) {
    const tensor = `${spec.name}.${suffix}`
    const { dtype: found, file } = reader.info(tensor)
    if (found !== dtype)
      throw new CheckpointError(`Cannot use ${tensor} of ${file}: it is stored as ${found}, expected ${dtype}.`, { file, tensor })
  }
  const quantized = await readCodes(reader, stored, args, spec)
  const broken = firstNonFinite(bytesOf(quantized.scale), 'F32')
  if (broken < 0) return quantized
  const tensor = `${spec.name}.${layout.scales}`
  const { file } = reader.info(tensor)
  const message = `Cannot use ${tensor} of ${file}: found ${quantized.scale[broken]} for scale ${broken}, expected finite scales.`
  throw new CheckpointError(message, { file, tensor })
}

/** What is stored for a compressed linear; it may lie in `memory`. Errors: CheckpointError where a tensor is missing, or is not what the layout stores. */
export async function readCodes(
  reader: TensorReader,
  { layout }: StoredScheme,
  args: QuantizationArgs,
  { name, rows, columns }: LinearSpec,
  memory?: SpareMemory,
): Promise<Quantized> {
  try {
    const read = (suffix: string) => reader.read(`${name}.${suffix}`, memory)
    return await layout.decode(args, rows, columns, scaleDtypeOf(reader, layout, name), read, memory)
  } catch (error) {
    throw error instanceof CheckpointError ? located(error, reader, name) : error
  }
}

/** What is wrong with a stored tensor, with its full name and its file: layouts know neither. */
function located(error: CheckpointError, reader: TensorReader, linear: string): CheckpointError {
  const tensor = `${linear}.${error.tensor}`
  if (error.tensor === undefined || !reader.has(tensor)) return error
  const { file } = reader.info(tensor)
  return new CheckpointError(`${error.message.replace(/[.]$/, '')} (${tensor} of ${file}).`, { file, tensor }, { cause: error })
}

/** [rows, columns] as [columns, rows]. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]
  return out
}

/** The tensor that holds a linear's weight: the embedding's for a tied lm_head. */
export function storedName(model: Model, linear: string): string {
  return linear === model.head().name && model.tied ? `${model.embedding}.weight` : `${linear}.weight`
}

/** Hidden sizes from which on a tensor of a batch is tens of megabytes, so that memory which is kept for later adds up. */
const WIDE = 2048

/** Whether an engine should rather give memory back than be fast. */
export function isWide({ model }: OpenModel): boolean {
  return model.hidden >= WIDE
}
