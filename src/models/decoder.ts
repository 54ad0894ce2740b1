import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { linearMatMul } from '../engine/mat-mul.ts'
import type { AttentionSizes, BatchShape, LayerHooks, LayerWalk, LinearSpec, Model, Parameters, StageSpec } from './architecture.ts'
import type { EmbedPart } from './parts/embed.ts'
import type { Norm } from './parts/norm.ts'
import type { Part, Scope, Table } from './parts/part.ts'

/** Sizes that every decoder has. */
export interface DecoderSizes {
  readonly layers: number
  readonly hidden: number
  readonly vocab: number
  readonly maxPositions: number
  readonly tied: boolean
}

/** What stands between the last layer and the logits. */
export interface HeadPart {
  /** The final norm, by its full name. */
  readonly norm: Norm | null
  /** The output projection: `lm_head`. */
  readonly name?: string
  /** What loaders call it, where that differs. */
  readonly alias?: string
  readonly bias?: boolean
  /** A projection [width, hidden] between the norm and the head, which then has so many columns. */
  readonly projection?: { readonly weight: string; readonly width: number }
  /** Of the logits: a multiplier, a softcap. */
  readonly bend?: (logits: Tensor2D) => Tensor2D
}

/** A name below a module; the name itself where the module is the whole model. */
export function nameBelow(base: string, name: string): string {
  return base === '' ? name : `${base}.${name}`
}

/** A decoder-only model, put together from parts. */
export interface DecoderSpec extends DecoderSizes {
  readonly modelType: string
  readonly attention: AttentionSizes
  /** Module name of the embedding: `model.embed_tokens`. */
  readonly embedding: string
  /** The list of layers: `model.layers`. */
  readonly layerList: string
  readonly embed?: EmbedPart
  /** The same object for layers that are alike. */
  layer(index: number): Part
  readonly head: HeadPart
}

/** The model that parts make. */
export function decoder(spec: DecoderSpec): Model {
  const { hidden, vocab, embedding, embed, head } = spec
  const layers = Array.from({ length: spec.layers }, (_, index) => spec.layer(index))
  const tables = [...new Set(layers.flatMap((layer) => layer.tables))]
  const layerName = (layer: number) => `${spec.layerList}.${layer}`
  const below = <T extends { readonly name: string }>(layer: number, specs: readonly T[]): T[] =>
    specs.map((item) => ({ ...item, name: `${layerName(layer)}.${item.name}` }))
  const width = embed?.width ?? hidden
  const headLinear: LinearSpec = {
    name: head.name ?? 'lm_head',
    rows: vocab,
    columns: head.projection?.width ?? hidden,
    bias: head.bias ?? false,
  }
  // A tied head leaves the norm alone that is all that keeps it apart from the embedding; so does a projection between.
  const headStage: StageSpec = {
    name: 'head',
    linears: [headLinear.name],
    source: head.projection ? null : (head.norm?.source ?? null),
    addsToResidual: false,
  }
  const { projection } = head
  const projectionSpec = projection && { name: projection.weight, shape: [projection.width, hidden], className: 'Linear' }
  const embedParameters = () => [...(embed?.parameters ?? [])]
  const headParameters = () => [...(head.norm?.parameters ?? []), ...(projectionSpec ? [projectionSpec] : [])]

  function* walkHead(h: Tensor2D, parameters: Parameters): LayerWalk {
    const scope = scopeOf(parameters, '')
    const normed = head.norm?.apply(h, scope) ?? h
    const input = projection ? (linearMatMul(normed, scope.parameter(projection.weight), false, true) as Tensor2D) : normed
    const [logits] = yield { stage: headStage, input: input === h ? tf.clone(h) : input, keep: [] }
    return head.bend?.(logits) ?? logits
  }

  return {
    modelType: spec.modelType,
    layers: spec.layers,
    hidden,
    vocab,
    maxPositions: spec.maxPositions,
    attention: spec.attention,
    tied: spec.tied,
    embedding,
    embeddingWidth: width,
    stages: (layer) => layers[layer].stages,
    headStage,
    layerName,
    linears: (layer) => below(layer, layers[layer].linears),
    parameters: (layer) => below(layer, layers[layer].parameters),
    outerParameters: () => [
      { name: `${embedding}.weight`, shape: [vocab, width], className: 'Embedding' },
      ...embedParameters(),
      ...headParameters(),
    ],
    embedParameters,
    headParameters,
    head: () => headLinear,
    ...(head.alias && { headAlias: head.alias }),
    shared: (length, start = 0, longest = start + length) => tables.map((table) => table.make({ start, length, longest })),
    embed: (rows, batch, parameters) => embed?.apply(rows, scopeOf(parameters, '', batch)) ?? tf.clone(rows),
    walk: (layer, h, parameters, shared, batch, hooks) =>
      layers[layer].run(h, scopeOf(parameters, `${layerName(layer)}.`, batch, hooks, tableFinder(tables, shared, batch)), []),
    walkHead,
  }
}

function scopeOf(
  parameters: Parameters,
  prefix: string,
  batch: BatchShape = { rows: 1, length: 1 },
  hooks: LayerHooks = {},
  table: Scope['table'] = noTables,
): Scope {
  return {
    batch,
    hooks,
    parameter: (name) => {
      const tensor = parameters.get(prefix + name)
      if (!tensor) throw new RangeError(`Cannot walk the layer: ${prefix}${name} was not loaded, expected every tensor of parameters()`)
      return tensor
    },
    table,
  }
}

function noTables(): Tensor {
  throw new RangeError('Cannot read a table outside of the layers')
}

/**
 * The made tables for the rows at hand; cut once for each table, where the rows are shorter than what the tables were made for. Those with a
 * start are made for exactly these rows.
 */
function tableFinder(tables: readonly Table[], shared: readonly Tensor[], { length, start = 0 }: BatchShape): Scope['table'] {
  return (table) => {
    const made = shared[tables.indexOf(table)]
    return start === 0 ? table.cut(made, length) : made
  }
}
