import { nameSays } from '../checkpoint/name-hint.ts'
import { totalBytes } from '../checkpoint/shards.ts'
import { type OpenModel, tensorNames } from '../models/open-model.ts'
import { formatBytes } from '../util/format-bytes.ts'
import type { PassThrough } from './plan-tensors.ts'

/**
 * What of a model must not go unnoticed when it is planned. `compressed`: names of the linears that get a scheme, `foreign`: of the tensors
 * that `foreignTensors` found.
 */
export function modelWarnings(source: OpenModel, compressed: ReadonlySet<string>, foreign: readonly string[]): string[] {
  return [
    ...compressedByName(source),
    ...untiedHead(source, compressed),
    ...foreignWarnings(source, foreign),
    ...unknownModel(source),
    ...stackedExperts(source),
  ]
}

/** Weights that were rounded once lose more when they are rounded again; that they were, only the name may still tell. */
function compressedByName({ name }: OpenModel): string[] {
  const said = nameSays(name)
  return said === null ? [] : [`${said}, but its files are those of a plain model: if its weights were rounded before, take the original`]
}

/** Compressing a tied head means to store it beside the embedding that it shared. */
function untiedHead({ model }: OpenModel, compressed: ReadonlySet<string>): string[] {
  const { name } = model.head()
  if (!model.tied || !compressed.has(name)) return []
  return [`${name} shares its weight with ${model.embedding}: compressed, it is stored beside it; "${name}" in ignore keeps it shared`]
}

/** An architecture that is not known is compressed by names and shapes. */
function unknownModel({ model, reader }: OpenModel): string[] {
  if (model.unknown === undefined) return []
  return [
    `the architecture "${model.modelType}" is not known: linears were found by the names and shapes of tensors, nothing is computed`,
    ...(reader.pieces.size > 0 ? ['experts that are stored in one tensor are taken apart, the half of the gate first'] : []),
  ]
}

/** Experts that are stored in one tensor, and not as `expertPieces` knows them, are most of a model, and stay as they are. */
function stackedExperts({ reader }: OpenModel): string[] {
  const stacked = [...reader.tensors.values()].filter(({ name, shape }) => shape.length === 3 && /(^|\.)experts\./.test(name))
  if (stacked.length === 0) return []
  const share = `${formatBytes(totalBytes(stacked))} of ${formatBytes(totalBytes([...reader.tensors.values()]))}`
  return [
    `${stacked.length} tensors hold all experts of a layer in one piece (${stacked[0].name}) and stay as they are, ${share}: they are not ` +
      'known to be made of a gate, an up and a down projection',
  ]
}

// Rotary frequencies and causal masks that older versions of transformers stored beside the weights; every loader works them out.
const KNOWN_LEFTOVER = /\.rotary_emb\.inv_freq$|\.(attn|attention)\.(masked_)?bias$/

/** Names of the tensors that no part of the architecture reads, of those that are copied. */
export function foreignTensors({ model, reader }: OpenModel, passThrough: readonly PassThrough[]): string[] {
  const known = new Set([...tensorNames(model), ...[...reader.pieces.values()].map(({ name }) => name)])
  return passThrough.map(({ info }) => info.name).filter((name) => !known.has(name) && !KNOWN_LEFTOVER.test(name))
}

/**
 * Loaders drop or refuse what the architecture does not know. Within a layer it may be a part of the computation that is not there here; a
 * tower beside the layers is none.
 */
function foreignWarnings({ model }: OpenModel, foreign: readonly string[]): string[] {
  const layers = Array.from({ length: model.layers }, (_, layer) => `${model.layerName(layer)}.`)
  const within = foreign.filter((name) => layers.some((layer) => name.startsWith(layer)))
  const inside = new Set(within)
  const beside = foreign.filter((name) => !inside.has(name))
  const kinds = [...new Set(within.map((name) => name.slice(layers.find((layer) => name.startsWith(layer))?.length)))]
  return [
    ...(within.length > 0
      ? [
          `${within.length} tensors within layers are not computed with, and copied as they are: ${shortened(kinds)} (${within[0]}): outputs may be off`,
        ]
      : []),
    ...(beside.length > 0
      ? [`${beside.length} tensors that the architecture does not know are copied as they are: ${shortened(beside)}`]
      : []),
  ]
}

function shortened(names: readonly string[]): string {
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ')
}
