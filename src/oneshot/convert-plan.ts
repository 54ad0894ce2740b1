import { resolve } from 'node:path'
import { parseQuantizationConfig, patchConfig } from '../checkpoint/config.ts'
import type { Layout, Method, Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { planShards, type Shard, tensorBytes, totalBytes } from '../checkpoint/shards.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { allLinears, type OpenModel, readCodes, type StoredScheme, scaleDtypeOf } from '../models/open-model.ts'
import type { FloatDType, ScaleDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import type { SettledGroup } from './config-groups.ts'
import { requireSpace, requireTarget } from './output-target.ts'
import { keptTensors, type PassThrough } from './plan-tensors.ts'
import { FORMATS, layoutIn, requireFormat, type WrittenQuantization, writtenQuantization } from './written-format.ts'

/** A linear with how it is stored, and how it will be. */
export interface ConvertedLinear {
  readonly spec: LinearSpec
  readonly stored: StoredScheme
  /** As it will be read back. */
  readonly scheme: QuantizationScheme & { readonly weights: QuantizationArgs }
  readonly layout: Layout
  /** What its scales will be stored as. */
  readonly scaleDtype: ScaleDType
}

/** All that a conversion will do, settled before anything is written. */
export interface ConversionPlan {
  readonly from: Method
  readonly output: string
  readonly linears: readonly ConvertedLinear[]
  readonly kept: readonly PassThrough[]
  readonly shards: readonly Shard[]
  readonly config: Readonly<Record<string, unknown>>
  readonly configFiles: WrittenQuantization['files']
  readonly size: { readonly before: number; readonly after: number }
  /** What loaders will make of it, where that is not all of them. */
  readonly notes: readonly string[]
}

/**
 * Settles a conversion from config.json, the headers, and all that is stored of a linear but its codes: scales, zero points, order of columns.
 * Errors: UserError and CheckpointError for whatever the format cannot say, naming the linear or tensor.
 */
export async function planConversion(
  source: OpenModel,
  reference: string,
  format: Method,
  wanted: string | undefined,
  overwrite: boolean,
): Promise<ConversionPlan> {
  const quantization = parseQuantizationConfig(source.config)
  if (!quantization || source.compressed.size === 0) {
    throw new UserError(`Cannot convert ${reference}: none of its linears is compressed, expected a checkpoint of ${FORMATS.join(', ')}.`)
  }
  const from = quantization.quant_method
  if (from === format) throw new UserError(`Cannot convert ${reference}: it is in the format ${format} already, expected another --format.`)
  requireConvertible(reference, from, format)
  const output = resolve(wanted ?? `${source.name}-${format}`)
  await requireTarget(output, source.path, overwrite)
  const specs = allLinears(source.model).filter(({ name }) => source.compressed.has(name))
  const survey = await surveyLinears(source, specs, from === 'awq')
  const groups = settledGroups(source, specs, survey)
  await requireFormat(`convert ${reference}`, format, source, groups, specs, quantization.kv_cache_scheme)
  const scaleDtype = format === 'compressed-tensors' ? ownScaleDtype(source, survey) : 'F16'
  if (scaleDtype !== null) for (const { spec, scale } of survey.linears) requireExact(source, spec, scale, scaleDtype)
  const schemes = new Map(groups.flatMap(({ linears, scheme }) => linears.map((name) => [name, scheme] as const)))
  const linears: ConvertedLinear[] = []
  for (const spec of specs) {
    const stored = source.compressed.get(spec.name)
    const scheme = schemes.get(spec.name)
    if (!stored || !scheme?.weights) throw new RangeError(`Cannot convert ${spec.name}: it has no scheme, expected one`)
    const own = scaleDtypeOf(source.reader, stored.layout, spec.name)
    linears.push({
      spec,
      stored,
      scheme: { ...scheme, weights: scheme.weights },
      layout: await layoutIn(format, scheme),
      scaleDtype: scaleDtype ?? own,
    })
  }
  const names = new Set(specs.map(({ name }) => name))
  const kept = keptTensors(source, names, replacedBy(source, specs))
  const tensors = resultTensors(source, linears, kept)
  const size = {
    before: [...source.reader.tensors.values()].reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    after: totalBytes(tensors),
  }
  await requireSpace(output, size.after)
  const { section, files } = await writtenQuantization(format, source, groups, null)
  return {
    from,
    output,
    linears,
    kept,
    shards: planShards(tensors),
    config: patchConfig(source.config, section),
    configFiles: files,
    size,
    notes: notesOf(format, survey, scaleDtype, modelDtype(source)),
  }
}

/** Errors: UserError with the reason for a conversion from or to bitsandbytes. */
function requireConvertible(reference: string, from: Method, format: Method): void {
  if (from !== 'bitsandbytes' && format !== 'bitsandbytes') return
  throw new UserError(
    `Cannot convert ${reference} from ${from} to ${format}: NF4 and FP4 are values of a table, and LLM.int8 keeps columns of inputs in 16 bits, which no other ` +
      'format can say, nor bitsandbytes what those hold; expected the original, compressed by a recipe for the other format.',
  )
}

/** What there is to know of all linears before one format is chosen over another. */
interface Survey {
  readonly linears: readonly { readonly spec: LinearSpec; readonly scale: Float32Array }[]
  /** Some have columns in an order of their own. */
  readonly isOrdered: boolean
  /** None has a zero point other than the middle of the codes, in a format that always stores some. */
  readonly isSymmetric: boolean
}

async function surveyLinears(source: OpenModel, specs: readonly LinearSpec[], alwaysShifted: boolean): Promise<Survey> {
  const linears: { spec: LinearSpec; scale: Float32Array }[] = []
  let isOrdered = false
  let isSymmetric = alwaysShifted
  for (const spec of specs) {
    const { scale, zeroPoint, groupOf } = await readGrid(source, spec)
    linears.push({ spec, scale })
    isOrdered ||= groupOf !== undefined
    isSymmetric &&= zeroPoint?.every((value) => value === 0) ?? true
  }
  return { linears, isOrdered, isSymmetric }
}

/** All that is stored of a linear but its codes, which are most of it and stay unread. */
async function readGrid({ reader, compressed }: OpenModel, spec: LinearSpec): Promise<Quantized> {
  const stored = compressed.get(spec.name)
  const weights = stored?.scheme.weights
  if (!stored || !weights) throw new RangeError(`Cannot read ${spec.name}: it is not compressed, expected codes`)
  const { layout } = stored
  const [codes] = layout.tensors(weights, spec.rows, spec.columns, scaleDtypeOf(reader, layout, spec.name))
  const blank = new Uint8Array(tensorBytes({ name: codes.suffix, ...codes }))
  const shown = {
    ...layout,
    decode: ((args, rows, columns, dtype, read) =>
      layout.decode(args, rows, columns, dtype, async (suffix) => (suffix === codes.suffix ? blank : read(suffix)))) as Layout['decode'],
  }
  return readCodes(reader, { ...stored, layout: shown }, weights, spec)
}

/** The linears by scheme, each as it is and not only as config.json says. */
function settledGroups({ compressed }: OpenModel, specs: readonly LinearSpec[], { isOrdered, isSymmetric }: Survey): SettledGroup[] {
  const groups = new Map<QuantizationScheme, string[]>()
  for (const { name } of specs) {
    const scheme = compressed.get(name)?.scheme
    if (scheme) groups.set(scheme, [...(groups.get(scheme) ?? []), name])
  }
  return [...groups].map(([scheme, linears], index) => {
    const { weights } = scheme
    const unordered = weights?.actorder === 'group' ? null : (weights?.actorder ?? null)
    const order: QuantizationArgs['actorder'] = isOrdered ? 'group' : unordered
    const settled = weights && {
      ...weights,
      symmetric: weights.symmetric || isSymmetric,
      actorder: order,
      scale_dtype: null,
      zp_dtype: null,
    }
    return { name: `group_${index}`, scheme: { ...scheme, weights: settled, format: null }, linears }
  })
}

/** The model's own type where it holds every scale as it is; else null: scales keep the type that they have. */
function ownScaleDtype(source: OpenModel, { linears }: Survey): FloatDType | null {
  const dtype = modelDtype(source)
  return dtype !== null && linears.every(({ scale }) => firstInexact(scale, dtype) < 0) ? dtype : null
}

function modelDtype({ config, reader, model }: OpenModel): FloatDType | null {
  const named = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const
  const found = config.dtype ?? config.torch_dtype
  if (found === 'float32' || found === 'float16' || found === 'bfloat16') return named[found]
  const { dtype } = reader.info(`${model.embedding}.weight`)
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' ? dtype : null
}

/** The first value that a type cannot hold as it is, or -1. */
function firstInexact(values: Float32Array, dtype: FloatDType): number {
  const rounded = values.slice()
  roundToDtype(rounded, dtype)
  return values.findIndex((value, at) => rounded[at] !== value)
}

/** Errors: CheckpointError naming the tensor of scales, the first of which would change. */
function requireExact({ reader, compressed }: OpenModel, { name }: LinearSpec, scale: Float32Array, dtype: FloatDType): void {
  const at = firstInexact(scale, dtype)
  if (at < 0) return
  const tensor = `${name}.${compressed.get(name)?.layout.scales}`
  const { file } = reader.info(tensor)
  const message =
    `Cannot convert ${tensor} of ${file}: found a scale of ${scale[at]}, which float16 cannot hold as it is, expected scales that such a ` +
    'checkpoint can store; compress the original again with --format.'
  throw new CheckpointError(message, { file, tensor })
}

/** Tells the stored tensors of compressed linears from others. */
function replacedBy({ reader, compressed }: OpenModel, specs: readonly LinearSpec[]): (name: string) => boolean {
  const names = new Set<string>()
  for (const { name, rows, columns } of specs) {
    const { layout, scheme } = compressed.get(name) ?? {}
    if (!layout || !scheme?.weights) continue
    for (const { suffix } of layout.tensors(scheme.weights, rows, columns, scaleDtypeOf(reader, layout, name)))
      names.add(`${name}.${suffix}`)
  }
  return (name) => names.has(name)
}

function resultTensors({ model }: OpenModel, linears: readonly ConvertedLinear[], kept: readonly PassThrough[]): TensorInfo[] {
  const layers = Array.from({ length: model.layers }, (_, layer) => new Set(model.linears(layer).map(({ name }) => name)))
  const own = (layer: number) =>
    linears.filter(({ spec }) => (layers[layer] ? layers[layer].has(spec.name) : spec.name === model.head().name))
  return Array.from({ length: model.layers + 1 }, (_, layer) => [
    ...own(layer).flatMap(({ spec, scheme, layout, scaleDtype }) =>
      layout
        .tensors(scheme.weights, spec.rows, spec.columns, scaleDtype)
        .map(({ suffix, dtype, shape }) => ({ name: `${spec.name}.${suffix}`, dtype, shape })),
    ),
    ...kept.filter((tensor) => tensor.layer === layer).map(({ info }) => info),
  ]).flat()
}

function notesOf(format: Method, { isOrdered }: Survey, scaleDtype: FloatDType | null, dtype: FloatDType | null): string[] {
  const ours = format === 'compressed-tensors'
  return [
    ...(ours && isOrdered
      ? ['columns stand in a stored order (actorder group), which compressed-tensors 0.19 and later no longer load']
      : []),
    ...(ours && scaleDtype === null && dtype !== null
      ? [`scales need more than the model's ${dtype} holds and keep float16: loaders that take them in ${dtype} round them`]
      : []),
  ]
}
