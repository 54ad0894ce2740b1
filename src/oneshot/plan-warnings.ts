import { totalBytes } from '../checkpoint/shards.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import { type OpenModel, tensorNames } from '../models/open-model.ts'
import { formatBytes } from '../util/format-bytes.ts'

/**
 * What of a model must not go unnoticed when it is planned. `compressed`: names of the linears that get a scheme, `passThrough`: the tensors
 * that are copied.
 */
export function modelWarnings(source: OpenModel, compressed: ReadonlySet<string>, passThrough: readonly TensorInfo[]): string[] {
  return [...untiedHead(source, compressed), ...foreignTensors(source, passThrough), ...unknownModel(source), ...stackedExperts(source)]
}

/** Compressing a tied head means to store it beside the embedding that it shared. */
function untiedHead({ model }: OpenModel, compressed: ReadonlySet<string>): string[] {
  const { name } = model.head()
  if (!model.tied || !compressed.has(name)) return []
  return [`${name} shares its weight with ${model.embedding}: compressed, it is stored beside it; "${name}" in ignore keeps it shared`]
}

/** An architecture that is not known is compressed by names and shapes. */
function unknownModel({ model }: OpenModel): string[] {
  if (model.unknown === undefined) return []
  return [`the architecture "${model.modelType}" is not known: linears were found by the names and shapes of tensors, nothing is computed`]
}

/** Experts that are stored in one tensor are most of a model, and stay as they are. */
function stackedExperts({ reader }: OpenModel): string[] {
  const stacked = [...reader.tensors.values()].filter(({ name, shape }) => shape.length === 3 && /(^|\.)experts\./.test(name))
  if (stacked.length === 0) return []
  const share = `${formatBytes(totalBytes(stacked))} of ${formatBytes(totalBytes([...reader.tensors.values()]))}`
  return [
    `${stacked.length} tensors hold all experts of a layer in one piece (${stacked[0].name}) and stay as they are, ${share}: loaders of ` +
      'compressed-tensors have no form for them',
  ]
}

// Rotary frequencies that older versions of transformers stored beside the weights; every loader works them out.
const KNOWN_LEFTOVER = /\.rotary_emb\.inv_freq$/

/** A warning that lists tensors which no part of the architecture reads; loaders drop or refuse them. */
function foreignTensors({ model }: OpenModel, passThrough: readonly TensorInfo[]): string[] {
  const known = tensorNames(model)
  const foreign = passThrough.map(({ name }) => name).filter((name) => !known.has(name) && !KNOWN_LEFTOVER.test(name))
  if (foreign.length === 0) return []
  const shown = foreign.length > 5 ? `${foreign.slice(0, 5).join(', ')} and ${foreign.length - 5} more` : foreign.join(', ')
  return [`${foreign.length} tensors that the architecture does not know are copied as they are: ${shown}`]
}
