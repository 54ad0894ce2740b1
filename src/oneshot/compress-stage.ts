import type { Stage } from '../modifiers/modifier.ts'
import { dequantize } from '../schemes/quantize.ts'
import { RunError } from '../util/errors.ts'
import type { LinearInHand } from './layer-in-hand.ts'
import type { Plan } from './plan.ts'

/**
 * Lets the recipe's modifiers act on a stage, in recipe order.
 * Errors: RunError when a modifier leaves a linear that the recipe gives it as it was, or with a grid that is not finite.
 */
export async function compressStage(plan: Plan, layer: number, stage: Stage, inHand: readonly LinearInHand[]): Promise<void> {
  for (const { modifier, targets, rescales } of plan.modifiers) {
    const planned = rescales?.find((entry) => entry.layer === layer && inHand.some(({ linear }) => entry.linears.includes(linear.name)))
    if (rescales && (!planned || planned.skipped !== null)) continue
    const own = new Map(
      inHand.flatMap(({ linear }) => {
        const scheme = targets.get(linear.name)
        return scheme ? [[linear, scheme] as const] : []
      }),
    )
    if (rescales || own.size > 0) await modifier.apply(stage, own)
  }
  for (const { planned, linear } of inHand) {
    if (!planned.scheme?.weights) continue
    if (!linear.quantized || !linear.report) {
      throw new RunError(`Cannot compress ${linear.name}: its modifier left it unchanged, expected codes and a report.`)
    }
    if (!Number.isFinite(linear.report.error) || linear.quantized.scale.some((s) => !Number.isFinite(s))) {
      throw new RunError(`Cannot compress ${linear.name}: the result is not finite (error ${linear.report.error}), expected numbers.`)
    }
    if (linear.rescaled) linear.report.rescaled = linear.rescaled
  }
}

/** The weight that the model computes with from now on: the compressed one. */
export function effectiveWeight({ linear }: LinearInHand): Float32Array {
  return linear.quantized ? dequantize(linear.quantized) : linear.weight
}
