import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { Linear, Stage } from '../modifiers/modifier.ts'
import { clippedScales } from '../schemes/clipped-scales.ts'
import { minMaxGrid, stageGlobalScale } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid, relativeError } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { RunError } from '../util/errors.ts'
import type { LinearInHand } from './layer-in-hand.ts'
import type { Plan } from './plan.ts'

/**
 * Lets the recipe's modifiers act on a stage, in recipe order.
 * Errors: RunError when a modifier leaves a linear that the recipe gives it as it was, or with a grid that is not finite; with
 * `allowFallback` such a linear is rounded plainly, and its report says so, unless that is not finite either.
 */
export async function compressStage(
  plan: Plan,
  layer: number,
  stage: Stage,
  inHand: readonly LinearInHand[],
  allowFallback: boolean,
): Promise<void> {
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
    const problem = problemOf(linear)
    if (problem !== null) {
      if (!allowFallback)
        throw new RunError(`Cannot compress ${linear.name}: ${problem} (--allow-fallback rounds it plainly instead, and says so).`)
      roundPlainly(planned.scheme, linear, inHand, problem)
      const left = problemOf(linear)
      if (left !== null) throw new RunError(`Cannot compress ${linear.name}: rounded plainly, too, ${left}.`)
    }
    if (!linear.report || !linear.quantized) continue
    if (linear.rescaled) linear.report.rescaled = linear.rescaled
    const clipped = clippedScales(linear.weight, linear.quantized)
    if (clipped > 0) linear.report.clippedScales = clipped
  }
}

/** Why what a modifier made of a linear cannot be used, or null. */
function problemOf({ quantized, report }: Linear): string | null {
  if (!quantized || !report) return 'its modifier left it unchanged, expected codes and a report'
  if (Number.isFinite(report.error) && quantized.scale.every((s) => Number.isFinite(s))) return null
  return `the result is not finite (error ${report.error}), expected numbers`
}

/** Rounding to nearest by minimum and maximum. What the stage shares it has from a linear that came through, or from the weights. */
function roundPlainly(scheme: QuantizationScheme, linear: Linear, inHand: readonly LinearInHand[], problem: string): void {
  const { name, weight, rows, columns, dtype } = linear
  const args = scheme.weights
  if (!args) return
  assertFinite(weight, `${name}.weight`)
  const sound = inHand.find((other) => other.linear !== linear && problemOf(other.linear) === null)?.linear.quantized
  const shared = sound?.globalScale ?? stageGlobalScale(inHand.map((other) => ({ weight: other.linear.weight, args })))
  linear.quantized = quantizeToGrid(weight, rows, columns, args, minMaxGrid(weight, rows, columns, args, dtype, shared))
  const error = relativeError(weight, dequantize(linear.quantized))
  const seconds = linear.report?.seconds ?? 0
  linear.report = { name, method: 'RTN', scheme: schemeLabel(scheme), error, errorOf: 'weights', seconds, fallback: `RTN: ${problem}` }
}

/** The weight that the model computes with from now on: the compressed one. */
export function effectiveWeight({ linear }: LinearInHand): Float32Array {
  return linear.quantized ? dequantize(linear.quantized) : linear.weight
}
