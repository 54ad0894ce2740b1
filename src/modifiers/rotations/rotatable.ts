import type { LinearSpec, Model, StageSpec } from '../../models/architecture.ts'
import { attentionOf } from '../../models/attention-of.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { UserError } from '../../util/errors.ts'

/**
 * Whether the residual stream can be rotated: everything that reads it does so through a norm whose weight can be folded, everything that
 * writes to it is a linear that does so directly, and no other tensor has its size. Errors: UserError naming what is in the way.
 */
export function requireRotatableResidual({ name, model }: OpenModel): void {
  const refuse = (subject: string, found: string, expected: string) =>
    new UserError(
      `Cannot rotate the residual stream of ${name}: ${subject} ${found}, expected ${expected}; rotations: [R2] leaves it alone.`,
    )
  const { headStage, hidden } = model
  if (headStage.source?.kind !== 'norm') throw refuse(`stage "${headStage.name}"`, 'reads it without a norm', 'a norm before the head')
  for (const { stage, layer } of [{ stage: headStage, layer: null }, ...distinctStages(model)]) {
    const subject = `stage "${stage.name}"`
    const reads = stage.source?.kind === 'norm'
    if (stage.source?.kind === 'norm' && stage.source.centered)
      throw refuse(
        subject,
        'reads it through a LayerNorm, which subtracts the mean of the channels',
        'norms that rotations leave alone (RMSNorm)',
      )
    if (layer === null) continue
    if (reads && stage.addsToResidual) throw refuse(subject, 'has a norm of its own within', 'linears between norm and residual stream')
    const isInner = stage.source?.kind === 'norm' && stage.source.inner
    if (reads && (isInner || columnsOf(model, layer, stage).some((columns) => columns !== hidden)))
      throw refuse(subject, 'reads a norm of something else', `a norm of ${hidden} channels`)
    if (reads || stage.addsToResidual) continue
    throw stage.source
      ? refuse(subject, 'does not add its outputs as they are', 'linears that write to the residual stream directly')
      : refuse(subject, 'does not read it through a norm', 'norms before linears')
  }
  for (const parameter of unknownParameters(model))
    throw refuse(parameter, `has ${hidden} channels and is not folded`, 'the embedding and the weights of norms before linears only')
}

/** Tensors beside linears that have the residual stream's size, other than the embedding and the norms that linears read. */
function unknownParameters(model: Model): string[] {
  const { hidden, headStage, embedding } = model
  const known = new Set([`${embedding}.weight`, `${headStage.source?.name}.weight`])
  const layers = Array.from({ length: model.layers }, (_, layer) => layer)
  for (const layer of layers) {
    for (const { source } of model.stages(layer)) known.add(`${model.layerName(layer)}.${source?.name}.weight`)
  }
  const all = [...model.outerParameters(), ...layers.flatMap((layer) => model.parameters(layer))]
  return all.filter(({ name, shape }) => shape.includes(hidden) && !known.has(name)).map(({ name }) => name)
}

/** The stages of all layers, each once, with the first layer that has it. */
function distinctStages(model: Model): { readonly stage: StageSpec; readonly layer: number }[] {
  const first = new Map<StageSpec, number>()
  for (let layer = model.layers - 1; layer >= 0; layer--) for (const stage of model.stages(layer)) first.set(stage, layer)
  return [...first].map(([stage, layer]) => ({ stage, layer })).sort((a, b) => a.layer - b.layer)
}

function columnsOf(model: Model, layer: number, stage: StageSpec): number[] {
  return stageLinears(model, layer, stage).map(({ columns }) => columns)
}

function stageLinears(model: Model, layer: number, stage: StageSpec): LinearSpec[] {
  return model.linears(layer).filter(({ name }) => stage.linears.some((linear) => `${model.layerName(layer)}.${linear}` === name))
}

/** The stages that read attention's values, and the linear below a layer that makes them. */
export interface ValueStages {
  readonly stages: ReadonlySet<StageSpec>
  readonly linear: string
}

/**
 * The stages that attention's values go into, one a kind of layer, with the linear that makes them: head for head, so that a rotation of
 * each head's values can be undone there. Errors: UserError where a layer has none.
 */
export function valueStages({ name, model }: OpenModel): ValueStages {
  const layers = new Map(distinctStages(model).map(({ layer }) => [model.stages(layer), layer]))
  const found = [...layers.values()].map((layer) => valueStageOf(model, layer))
  const [first] = found
  if (first && found.every((entry) => entry?.linear === first.linear))
    return { stages: new Set(found.flatMap((entry) => (entry ? [entry.stage] : []))), linear: first.linear }
  throw new UserError(
    `Cannot rotate the values of ${name}: no linear of ${attentionOf(model).module} makes the values alone, head for head, expected one; rotations: [R1] leaves them alone.`,
  )
}

function valueStageOf(model: Model, layer: number): { readonly stage: StageSpec; readonly linear: string } | null {
  const { module, heads, kvHeads, headDim } = attentionOf(model)
  for (const stage of model.stages(layer)) {
    const { source } = stage
    if (source?.kind !== 'linear' || source.rows || !source.name.startsWith(`${module}.`)) continue
    const rows = model.linears(layer).find((linear) => linear.name === `${model.layerName(layer)}.${source.name}`)?.rows
    if (rows === kvHeads * headDim && columnsOf(model, layer, stage).every((columns) => columns === heads * headDim))
      return { stage, linear: source.name }
  }
  return null
}
