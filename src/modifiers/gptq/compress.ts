import type { Quantized } from '../../checkpoint/layouts/layout.ts'
import { timesSymmetric } from '../../engine/gram.ts'
import type { FloatDType } from '../../numerics/dtype.ts'
import type { SymmetricMatrix } from '../../numerics/symmetric-matrix.ts'
import { codeRange } from '../../schemes/grid.ts'
import { observedGrid } from '../../schemes/observed-grid.ts'
import type { Grid } from '../../schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../../schemes/quantize.ts'
import { rowScales } from '../../schemes/row-scales.ts'
import { schemeLabel } from '../../schemes/scheme.ts'
import { weightGrid } from '../../schemes/weight-grid.ts'
import { span } from '../../util/span.ts'
import { conditionalVariance, type Factor, withDamping } from '../statistics/hessian.ts'
import { correctBias } from './bias-correction.ts'
import { difference } from './difference.ts'
import { errorsOfOutputs } from './output-errors.ts'
import { sweepTogether } from './sweep-together.ts'
import type { Compressed, Gridded, Task } from './task.ts'

/**
 * Compresses the linears of a stage and reports on them: grids, sweeps, refinement, bias; each as far as the levers say, and each step for all
 * of them, so that they can share what it takes.
 */
export async function compressLinears(tasks: readonly Task[]): Promise<void> {
  const gridded: Gridded[] = []
  for (const task of tasks) {
    task.stage.signal.throwIfAborted()
    gridded.push({ task, grid: await span('step', 'scales', () => gridOf(task)) })
  }
  const swept = await sweepTogether(gridded)
  const done: Compressed[] = []
  for (const [i, { task, grid }] of gridded.entries()) {
    task.stage.signal.throwIfAborted()
    const { linear, factor, moments, weight, args } = task
    const own = swept[i]
    const quantized =
      factor && own ? await refine(task, own.quantized, factor) : quantizeToGrid(weight, linear.rows, linear.columns, args, grid)
    if (linear.bias) correctBias(linear, weight, dequantize(quantized), moments.fitted.mean)
    done.push({ task, quantized, loss: own?.loss ?? null })
    // Refined codes are others: of wide linears both would be held to the end.
    swept[i] = null
  }
  const errors = await span('step', 'errors', () => errorsOfOutputs(done))
  for (const [i, { task, quantized }] of done.entries()) {
    const { linear, scheme, factor, target } = task
    linear.quantized = quantized
    linear.report = {
      ...{ name: linear.name, method: factor ? 'GPTQ' : 'RTN', scheme: schemeLabel(scheme), errorOf: 'outputs', seconds: 0 },
      ...errors[i],
      ...(target && { target }),
      ...(factor ? { damping: factor.damping } : { fallback: 'RTN: the Hessian is not positive definite at any damping' }),
    }
  }
}

/** The grid to round to: searched, or as the observer that the recipe names finds it. */
async function gridOf({ stage, moments, factor, levers, linear, scheme, args, weight, globalScale }: Task): Promise<Grid> {
  const matrix = { ...linear, weight }
  const meanSquare = moments.fitted.hessian.matrix.diagonal()
  if (levers.scaleSearch === 'observer') return observedGrid(stage.kernels, matrix, args, meanSquare, globalScale)
  const variance = factor && levers.scaleSearch === 'conditional_variance' && args.observer === null ? conditionalVariance(factor) : null
  const options = { importance: variance ?? meanSquare, signed: levers.signedScales, globalScale }
  return weightGrid(stage.kernels, matrix, scheme, args, options)
}

/** Refits scales, where they can be, and descends on codes. */
async function refine(task: Task, swept: Quantized, factor: Factor): Promise<Quantized> {
  return span('step', 'refine', () => refined(task, swept, factor))
}

async function refined({ stage, moments, levers, linear, args, weight }: Task, swept: Quantized, factor: Factor): Promise<Quantized> {
  const { rows, columns } = linear
  if (levers.refinementRounds === 0) return swept
  return withDamping(moments.fitted.hessian, factor, async (hessian) => {
    const product = await outputChange(weight, swept, hessian)
    const { groupSize, scale, zeroPoint } = rowScales(args, rows, columns, swept)
    const scaleDtype = fittedScales(swept)
    const problem = { rows, columns, weight, product, hessian, codes: swept.codes, groupSize, scale, zeroPoint, ...codeRange(args) }
    const result = await stage.kernels.refine({ ...problem, scaleDtype, rounds: levers.refinementRounds })
    return { ...swept, codes: result.codes, scale: scaleDtype ? result.scale : swept.scale }
  })
}

/** E H, E the weight less what the codes stand for. A function of its own, or the caller would hold E to its end: 0.5 GB with what E is made of. */
function outputChange(weight: Float32Array, swept: Quantized, hessian: SymmetricMatrix): Promise<Float32Array> {
  return timesSymmetric(difference(weight, dequantize(swept)), hessian)
}

/**
 * What refitted scales are rounded to; null where they stay: those that rows share are not a row's to fit, and those of floats are not
 * worth it. On docs-llama-4m descent on the codes lowers the squared error of the outputs by 12 % (MXFP4) to 21 % (FP8), refitted scales
 * beside it by another 0 % (MXFP4), 0.05 % (FP8 by channel) and 2 % (NVFP4).
 */
function fittedScales({ args: { type, strategy }, scaleDtype }: Quantized): FloatDType | null {
  if (type === 'float' || strategy === 'tensor' || strategy === 'block' || scaleDtype === 'U8' || scaleDtype === 'F8_E4M3') return null
  return scaleDtype
}
