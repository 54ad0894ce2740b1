import type { LinearSpec, Model, StageSpec } from '../models/architecture.ts'
import type { OpenModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'

/**
 * Whether the residual stream can be rotated: everything that reads it does so through a norm whose weight can be folded, everything that
 * writes to it is a linear that does so directly, and no other tensor has its size. Errors: UserError naming what is in the way.
 */
export function requireRotatableResidual({ name, model }: OpenModel): void {
  const refuse = (subject: string, found: string, expected: string) =>
    new UserError(
      `Cannot rotate the residual stream of ${name}: ${subject} ${found}, expected ${expected}; rotations: [R2] leaves it alone.`,
    )
  const { headStage, stages, hidden } = model
  if (headStage.source?.kind !== 'norm') throw refuse(`stage "${headStage.name}"`, 'reads it without a norm', 'a norm before the head')
  for (const stage of stages) {
    const subject = `stage "${stage.name}"`
    const reads = stage.source?.kind === 'norm'
    if (reads && stage.addsToResidual) throw refuse(subject, 'has a norm of its own within', 'linears between norm and residual stream')
    if (reads && columnsOf(model, stage).some((columns) => columns !== hidden))
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
  for (const layer of layers) for (const { source } of model.stages) known.add(`${model.layerName(layer)}.${source?.name}.weight`)
  const all = [...model.outerParameters(), ...layers.flatMap((layer) => model.parameters(layer))]
  return all.filter(({ name, shape }) => shape.includes(hidden) && !known.has(name)).map(({ name }) => name)
}

function columnsOf(model: Model, stage: StageSpec): number[] {
  return stageLinears(model, stage).map(({ columns }) => columns)
}

function stageLinears(model: Model, stage: StageSpec): LinearSpec[] {
  return model.linears(0).filter(({ name }) => stage.linears.some((linear) => `${model.layerName(0)}.${linear}` === name))
}

/** The stage that reads attention's values, and the linear below a layer that makes them. */
export interface ValueStage {
  readonly stage: StageSpec
  readonly linear: string
}

/**
 * The stage that attention's values go into, with the linear that makes them: head for head, so that a rotation of each
 * head's values can be undone there. Errors: UserError where the architecture has none.
 */
export function valueStage({ name, model }: OpenModel): ValueStage {
  const { module, heads, kvHeads, headDim } = model.attention
  for (const stage of model.stages) {
    const { source } = stage
    if (source?.kind !== 'linear' || !source.name.startsWith(`${module}.`)) continue
    const rows = model.linears(0).find((linear) => linear.name === `${model.layerName(0)}.${source.name}`)?.rows
    if (rows === kvHeads * headDim && columnsOf(model, stage).every((columns) => columns === heads * headDim))
      return { stage, linear: source.name }
  }
  throw new UserError(
    `Cannot rotate the values of ${name}: no linear of ${module} makes the values alone, head for head, expected one; rotations: [R1] leaves them alone.`,
  )
}
