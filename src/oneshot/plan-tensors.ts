import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import type { OpenModel } from '../models/open-model.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { activationTensors, cacheTensors } from '../schemes/activation-scales.ts'
import type { PlannedLinear } from './staged-linear.ts'

/** A stored tensor that is copied as it is, with the layer whose completion writes it. */
export interface PassThrough {
  readonly info: TensorInfo
  readonly layer: number
}

/** All stored tensors but the weights that are compressed, in the order of the walk. */
export function untouchedTensors({ model, reader }: OpenModel, linears: readonly PlannedLinear[]): PassThrough[] {
  const compressed = new Set(linears.filter(({ scheme }) => scheme).map(({ spec }) => `${spec.name}.weight`))
  const layerOf = (name: string) => {
    for (let layer = 0; layer < model.layers; layer++) if (name.startsWith(`${model.layerName(layer)}.`)) return layer
    return model.layers
  }
  const kept = [...reader.tensors.values()].filter(({ name }) => !compressed.has(name))
  const entries = kept.map(({ name, dtype, shape }) => ({ info: { name, dtype, shape }, layer: layerOf(name) }))
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
  const { module, kvHeads } = model.attention
  return cacheTensors(args, kvHeads, dtype).map(({ suffix, dtype: type, shape }) => ({
    name: `${model.layerName(layer)}.${module}.${suffix}`,
    dtype: type,
    shape,
  }))
}

function storedTensors({ spec, layout, scheme, dtype }: PlannedLinear): TensorInfo[] {
  if (!scheme?.weights || !layout) return []
  const stored = [...layout.tensors(scheme.weights, spec.rows, spec.columns, dtype), ...activationTensors(scheme, dtype)]
  return stored.map(({ suffix, dtype: type, shape }) => ({ name: `${spec.name}.${suffix}`, dtype: type, shape }))
}
