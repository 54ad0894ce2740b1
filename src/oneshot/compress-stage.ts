import type { TensorData } from '../checkpoint/tensor.ts'
import { readWeight } from '../models/open-model.ts'
import type { Linear, Stage } from '../modifiers/modifier.ts'
import { elementCount } from '../numerics/dtype.ts'
import { dequantize } from '../schemes/quantize.ts'
import { RunError } from '../util/errors.ts'
import type { Plan, PlannedLinear } from './plan.ts'

/** A linear on its way: what the plan says of it, and what the modifiers edit. */
export interface LinearInHand {
  readonly planned: PlannedLinear
  readonly linear: Linear
}

/** Reads the weights of a stage's linears. */
export async function readLinears(plan: Plan, planned: readonly PlannedLinear[]): Promise<LinearInHand[]> {
  const inHand: LinearInHand[] = []
  for (const entry of planned) {
    const { spec, dtype } = entry
    const weight = await readWeight(plan.source, spec)
    const linear = { name: spec.name, rows: spec.rows, columns: spec.columns, dtype, weight, quantized: null, report: null }
    inHand.push({ planned: entry, linear })
  }
  return inHand
}

/**
 * Lets the recipe's modifiers act on a stage, in recipe order.
 * Errors: RunError when a modifier leaves a linear that the recipe gives it as it was, or with a grid that is not finite.
 */
export async function compressStage(plan: Plan, stage: Stage, inHand: readonly LinearInHand[]): Promise<void> {
  for (const { modifier, targets } of plan.modifiers) {
    const own = new Map(inHand.flatMap(({ linear }) => (targets.has(linear.name) ? [[linear, targets.get(linear.name)] as const] : [])))
    const schemes = new Map([...own].flatMap(([linear, scheme]) => (scheme ? [[linear, scheme] as const] : [])))
    if (schemes.size > 0) await modifier.apply(stage, schemes)
  }
  for (const { planned, linear } of inHand) {
    if (!planned.scheme) continue
    if (!linear.quantized || !linear.report) {
      throw new RunError(`Cannot compress ${linear.name}: its modifier left it unchanged, expected codes and a report.`)
    }
    if (!Number.isFinite(linear.report.error) || linear.quantized.scale.some((s) => !Number.isFinite(s))) {
      throw new RunError(`Cannot compress ${linear.name}: the result is not finite (error ${linear.report.error}), expected numbers.`)
    }
  }
}

/** The weight that the model computes with from now on: the compressed one. */
export function effectiveWeight({ linear }: LinearInHand): Float32Array {
  return linear.quantized ? dequantize(linear.quantized) : linear.weight
}

/** The tensors that are stored for a compressed linear. */
export function encodeLinear({ planned, linear }: LinearInHand): TensorData[] {
  const { layout, spec, dtype } = planned
  if (!linear.quantized || !layout) throw new RangeError(`Cannot store ${spec.name}: it was not compressed, expected codes`)
  const encoded = layout.encode(linear.quantized)
  return layout.tensors(linear.quantized.args, spec.rows, spec.columns, dtype).map(({ suffix, dtype: stored, shape }) => {
    const bytes = encoded.get(suffix)
    if (!bytes)
      throw new RangeError(`Cannot store ${spec.name}.${suffix}: the layout gave no bytes, expected ${elementCount(shape)} ${stored}`)
    return { name: `${spec.name}.${suffix}`, dtype: stored, shape, bytes }
  })
}
