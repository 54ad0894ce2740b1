import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import type { StoredTensorInfo } from '../checkpoint/tensor-reader.ts'
import { attentionOf } from '../models/attention-of.ts'
import type { OpenModel } from '../models/open-model.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { activationTensors, cacheTensors } from '../schemes/activation-scales.ts'
import { type PlannedLinear, plannedScaleDtype } from './staged-linear.ts'

/** A stored tensor that is copied as it is, with the layer whose completion writes it. */
export interface PassThrough {
  readonly info: TensorInfo
  readonly layer: number
}

/**
 * The stored tensors with all experts of a layer that stay as they are, by the pieces that they would be cut into: of modules none of whose
 * experts is compressed. Loaders of models that are not compressed look for those.
 */
export function wholeExperts(
  { reader }: Pick<OpenModel, 'reader'>,
  compressed: ReadonlySet<string>,
): ReadonlyMap<string, StoredTensorInfo> {
  const moduleOf = ({ name }: StoredTensorInfo) => name.slice(0, name.lastIndexOf('.'))
  const cut = new Set([...reader.pieces].flatMap(([piece, whole]) => (compressed.has(linearOf(piece)) ? [moduleOf(whole)] : [])))
  return new Map([...reader.pieces].filter(([, whole]) => !cut.has(moduleOf(whole))))
}

function linearOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf('.'))
}

/** Names for the ignore list: `untouched`, with one pattern for all experts of a module that stay as they are. */
export function ignoredNames(source: OpenModel, untouched: readonly string[], compressed: ReadonlySet<string>): string[] {
  const whole = wholeExperts(source, compressed)
  const names = untouched.map((name) => {
    const stored = whole.get(`${name}.weight`)
    return stored ? `re:${linearOf(stored.name).replaceAll('.', '\\.')}\\..*` : name
  })
  return [...new Set(names)]
}

/** All stored tensors but the weights that are compressed, in the order of the walk. */
export function untouchedTensors(source: OpenModel, linears: readonly PlannedLinear[]): PassThrough[] {
  const compressed = new Set(linears.filter(({ scheme }) => scheme).map(({ spec }) => spec.name))
  return keptTensors(source, compressed, (name) => name.endsWith('.weight') && compressed.has(linearOf(name)))
}

/** All stored tensors but those that are replaced, in the order of the walk. */
export function keptTensors(
  { model, reader }: OpenModel,
  compressed: ReadonlySet<string>,
  isReplaced: (name: string) => boolean,
): PassThrough[] {
  const whole = wholeExperts({ reader }, compressed)
  const layerOf = (name: string) => {
    for (let layer = 0; layer < model.layers; layer++) if (name.startsWith(`${model.layerName(layer)}.`)) return layer
    return model.layers
  }
  const kept = [...reader.tensors.values()].filter(({ name }) => !isReplaced(name))
  const entries = [...new Set(kept.map((info) => whole.get(info.name) ?? info))].map(({ name, dtype, shape }) => ({
    info: { name, dtype, shape },
    layer: layerOf(name),
  }))
  return entries.sort((a, b) => a.layer - b.layer)
}

/** All tensors of the result in the order in which the walk writes them, so that shards fill one after the other. */
export function resultTensors(
  source: OpenModel,
  linears: readonly PlannedLinear[],
  passThrough: readonly PassThrough[],
  cache: { readonly args: QuantizationArgs; readonly dtype: FloatDType } | null,
): TensorInfo[] {
  return Array.from({ length: source.model.layers + 1 }, (_, layer) => [
    ...linears.filter((linear) => linear.layer === layer).flatMap(storedTensors),
    ...(cache && layer < source.model.layers ? cacheInfos(source, layer, cache.args, cache.dtype) : []),
    ...passThrough.filter((tensor) => tensor.layer === layer).map(({ info }) => info),
  ]).flat()
}

function cacheInfos({ model }: OpenModel, layer: number, args: QuantizationArgs, dtype: FloatDType): TensorInfo[] {
  const { module, kvHeads } = attentionOf(model)
  return cacheTensors(args, kvHeads, dtype).map(({ suffix, dtype: type, shape }) => ({
    name: `${model.layerName(layer)}.${module}.${suffix}`,
    dtype: type,
    shape,
  }))
}

function storedTensors(planned: PlannedLinear): TensorInfo[] {
  const { spec, layout, scheme, dtype } = planned
  if (!scheme?.weights || !layout) return []
  const weights = layout.tensors(scheme.weights, spec.rows, spec.columns, plannedScaleDtype(planned))
  const stored = [...weights, ...activationTensors(scheme, dtype)]
  return stored.map(({ suffix, dtype: type, shape }) => ({ name: `${spec.name}.${suffix}`, dtype: type, shape }))
}
