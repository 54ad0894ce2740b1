import { RewritingReader, type TensorRewrite } from '../../checkpoint/rewriting-reader.ts'
import type { TensorReader } from '../../checkpoint/tensor-reader.ts'
import type { LinearSpec, StageSpec } from '../../models/architecture.ts'
import { type OpenModel, storedName } from '../../models/open-model.ts'
import { type Rotation, rotateColumns, rotateRows } from '../../numerics/rotation.ts'
import { assertFinite } from '../../schemes/quantize.ts'
import { UserError } from '../../util/errors.ts'
import { requireRotatableResidual, type ValueStages, valueStages } from './rotatable.ts'

/** What to rotate by: the residual stream (R1, a divisor of the hidden size), and the values of each head (R2, its size). */
export interface Rotations {
  readonly residual: Rotation | null
  readonly heads: Rotation | null
}

/** A norm whose weight is folded into the linears that read it. */
interface FoldedNorm {
  /** Full tensor name. */
  readonly name: string
  readonly offset: 0 | 1
}

/** What becomes of a linear: W ← rowsᵀ (W · norm) columns. */
interface LinearRotation {
  readonly norm: FoldedNorm | null
  readonly columns: Rotation | null
  readonly rows: Rotation | null
}

/**
 * The model with rotations fused into its weights, as a view: tensors are rotated each time they are read, and nothing is read here. Norm
 * weights are folded into the linears that read them, since a rotation commutes with x / rms(x) only; a tied head, which the final norm
 * then tells from the embedding, gets a tensor of its own. Embeddings are not centred, as llm-compressor does: RMSNorm would notice.
 * Errors: UserError for an architecture that cannot be rotated so; CheckpointError for tensors that are no floats.
 */
export function rotateModel(source: OpenModel, rotations: Rotations): OpenModel {
  const { model, config } = source
  const { residual, heads } = rotations
  if (source.compressed.size > 0) throw new UserError(`Cannot rotate ${source.name}: it is already quantized, expected an original.`)
  if (residual) requireRotatableResidual(source)
  const plan = { ...rotations, source, values: heads && valueStages(source) }
  const rewrites: [string, TensorRewrite][] = []
  for (let layer = 0; layer < model.layers; layer++) {
    const linears = model.linears(layer)
    for (const stage of model.stages(layer)) rewrites.push(...rewriteStage(plan, stage, `${model.layerName(layer)}.`, linears))
  }
  if (residual) {
    const name = `${model.embedding}.weight`
    rewrites.push([name, { from: name, byRow: true, rewrite: (rows) => rotateColumns(rows, residual) }])
    rewrites.push(...rewriteStage(plan, model.headStage, '', [model.head()]))
  }
  const untied = residual !== null && model.tied
  return {
    ...source,
    reader: new RewritingReader(source.reader, new Map(rewrites)),
    ...(untied && { model: { ...model, tied: false }, config: { ...config, tie_word_embeddings: false } }),
  }
}

/** What is rotated, and where attention's values are. */
interface RotationPlan extends Rotations {
  readonly source: OpenModel
  readonly values: ValueStages | null
}

/** The rewrites of a stage's linears and of its norm. `prefix`: of the stage's names; `linears`: those of the layer. */
function rewriteStage(
  { source, residual, heads, values }: RotationPlan,
  stage: StageSpec,
  prefix: string,
  linears: readonly LinearSpec[],
): [string, TensorRewrite][] {
  const norm =
    residual && stage.source?.kind === 'norm' ? { name: `${prefix}${stage.source.name}.weight`, offset: stage.source.offset } : null
  const own = linears.filter(({ name }) => stage.linears.some((linear) => prefix + linear === name))
  const rewritten = own.flatMap((spec) => {
    const makesValues = values !== null && spec.name === prefix + values.linear
    return rewriteLinear(source.reader, spec, storedName(source.model, spec.name), {
      norm,
      columns: norm ? residual : values?.stages.has(stage) ? heads : null,
      rows: residual && stage.addsToResidual ? residual : makesValues ? heads : null,
    })
  })
  return norm ? [[norm.name, neutralNorm(norm)], ...rewritten] : rewritten
}

/** A norm that multiplies by one. */
function neutralNorm({ name, offset }: FoldedNorm): TensorRewrite {
  return {
    from: name,
    byRow: false,
    rewrite: (values) => {
      values.fill(1 - offset)
    },
  }
}

/** The rewrites of a linear's weight and bias. `from`: the tensor its weight is stored as. */
function rewriteLinear(reader: TensorReader, spec: LinearSpec, from: string, rotation: LinearRotation): [string, TensorRewrite][] {
  const { norm, columns, rows } = rotation
  if (!norm && !columns && !rows) return []
  const weight: TensorRewrite = {
    from,
    byRow: rows === null,
    rewrite: async (values) => {
      if (norm) await foldNorm(reader, norm, values)
      if (columns) rotateColumns(values, columns)
      if (rows) rotateRows(values, spec.columns, rows)
    },
  }
  const bias = `${spec.name}.bias`
  if (!rows || !spec.bias) return [[`${spec.name}.weight`, weight]]
  return [
    [`${spec.name}.weight`, weight],
    [bias, { from: bias, byRow: false, rewrite: (values) => rotateColumns(values, rows) }],
  ]
}

/** Each column times what the norm multiplies its channel by. `values`: some rows of a weight. */
async function foldNorm(reader: TensorReader, { name, offset }: FoldedNorm, values: Float32Array): Promise<void> {
  const weight = await reader.readFloats(name)
  assertFinite(weight, name)
  for (let i = 0, column = 0; i < values.length; i++) {
    values[i] *= weight[column] + offset
    if (++column === weight.length) column = 0
  }
}
