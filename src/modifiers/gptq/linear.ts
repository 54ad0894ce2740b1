import type { Quantized } from '../../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../../checkpoint/quantization-config.ts'
import { timesSymmetric } from '../../engine/gram.ts'
import type { FloatDType } from '../../numerics/dtype.ts'
import type { SymmetricMatrix } from '../../numerics/symmetric-matrix.ts'
import { codeRange } from '../../schemes/grid.ts'
import { observedGrid } from '../../schemes/observed-grid.ts'
import { type Grid, minMaxGrid } from '../../schemes/qparams.ts'
import { dequantize, dequantizeRows, quantizeToGrid } from '../../schemes/quantize.ts'
import { roundedValues } from '../../schemes/round-to-grid.ts'
import { rowScales } from '../../schemes/row-scales.ts'
import { schemeLabel } from '../../schemes/scheme.ts'
import { weightGrid } from '../../schemes/weight-grid.ts'
import { collectGarbage } from '../../util/collect-garbage.ts'
import { span } from '../../util/span.ts'
import type { Linear, LinearReport, Stage } from '../modifier.ts'
import { conditionalVariance, type Factor, outputErrors, withDamping } from '../statistics/hessian.ts'
import { type StageMoments, setAside } from '../statistics/moments.ts'
import { correctBias } from './bias-correction.ts'
import type { Levers } from './quality.ts'

/** A linear with all that GPTQ knows about it. */
export interface Task {
  readonly stage: Stage
  readonly moments: StageMoments
  /** Null where the Hessian could not be factored: then the linear is rounded. */
  readonly factor: Factor | null
  /** No other linear is swept with this factor after it. */
  readonly lastSweep: boolean
  readonly levers: Levers
  readonly linear: Linear
  readonly scheme: QuantizationScheme
  readonly args: QuantizationArgs
  /** [rows, columns] what is rounded: the linear's own weight, or what a target makes of it. */
  readonly weight: Float32Array
  /** The target of `weight`, as the report has it; null where it is the linear's own. */
  readonly target: LinearReport['target'] | null
  /** NVFP4: the global scale of what is rounded, and of the linears' own weights, over the stage. Else null. */
  readonly globalScale: number | null
  readonly plainGlobalScale: number | null
}

/** Compresses a linear and reports on it: grid, sweep, refinement, bias; each as far as the levers say. */
export async function compressLinear(task: Task): Promise<void> {
  const { linear, scheme, args, factor, moments, weight, target } = task
  const { name, rows, columns } = linear
  const grid = await span('step', 'scales', () => gridOf(task))
  const swept = factor && (await span('step', 'sweep', () => sweep(task, grid, factor)))
  const quantized = factor && swept ? await refine(task, swept.quantized, factor) : quantizeToGrid(weight, rows, columns, args, grid)
  if (linear.bias) correctBias(linear, weight, dequantize(quantized), moments.fitted.mean)
  linear.quantized = quantized
  linear.report = {
    ...{ name, method: factor ? 'GPTQ' : 'RTN', scheme: schemeLabel(scheme), errorOf: 'outputs', seconds: 0 },
    ...(await span('step', 'errors', () => errorsOf(task, quantized, swept?.isSound ?? true))),
    ...(target && { target }),
    ...(factor ? { damping: factor.damping } : { fallback: 'RTN: the Hessian is not positive definite at any damping' }),
  }
}

/** Bytes of a factor that are given back before what follows the sweep: of 14336 columns, 0.8 GB. */
const LARGE = 128 * 2 ** 20

/** The grid to round to: searched, or as the observer that the recipe names finds it. */
async function gridOf({ stage, moments, factor, levers, linear, scheme, args, weight, globalScale }: Task): Promise<Grid> {
  const matrix = { ...linear, weight }
  const meanSquare = moments.fitted.hessian.matrix.diagonal()
  if (levers.scaleSearch === 'observer') return observedGrid(stage.kernels, matrix, args, meanSquare, globalScale)
  const variance = factor && levers.scaleSearch === 'conditional_variance' && args.observer === null ? conditionalVariance(factor) : null
  const options = { importance: variance ?? meanSquare, signed: levers.signedScales, globalScale }
  return weightGrid(stage.kernels, matrix, scheme, args, options)
}

/** Codes, and whether no error on the way was beyond float32. */
async function sweep(
  { stage, linear, args, weight, lastSweep }: Task,
  grid: Grid,
  factor: Factor,
): Promise<{ quantized: Quantized; isSound: boolean }> {
  const { order } = factor
  const { rows, columns } = linear
  const { groupSize, ...scales } = rowScales(args, rows, columns, grid)
  const input = {
    rows,
    columns,
    weight,
    order,
    factor: factor.values,
    ...scales,
    // A column keeps the scale of its original group, so that no order has to be stored.
    groupOf: order.map((column) => Math.floor(column / groupSize)),
    ...codeRange(args),
  }
  const result = await (stage.engine.sweep?.(stage.kernels, input) ?? stage.kernels.sweep(input))
  if (lastSweep) {
    const isLarge = factor.values.byteLength > LARGE
    factor.values = new Float32Array(0)
    if (isLarge) collectGarbage()
  }
  return { quantized: { args, rows, columns, codes: result.codes, ...grid }, isSound: result.loss.every(Number.isFinite) }
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

/** One row in so many is judged, where there are many: all would take as long as the sweep. */
const JUDGED_ROWS = 4
const MANY_ROWS = 256

/**
 * Squared errors of the outputs relative to the outputs, of one row in `JUDGED_ROWS`: of what the codes stand for, on the rows of tokens that
 * were fitted to and on those held back, and of plain rounding from minimum and maximum of the original weight.
 */
async function errorsOf(
  task: Task,
  quantized: Quantized,
  isSound: boolean,
): Promise<Pick<LinearReport, 'error' | 'rtnError' | 'heldBackError'>> {
  const { fitted, heldBack } = task.moments
  const { columns } = task.linear
  const step = stepOf(task)
  const weight = everyRow(step, task.weight, columns)
  const error = difference(dequantizeRows(quantized, step), weight)
  const [outputs, errors, rounded] = await outputErrors(fitted.hessian, [weight, error, await plainlyLost(task, step)])
  // Rows that are not judged have no error to tell of what was beyond float32.
  const found = { error: isSound ? relative(errors, outputs) : Number.NaN, rtnError: relative(rounded, outputs) }
  if (!heldBack) return found
  await heldBack.hessian.matrix.restore()
  const [heldBackOutputs, heldBackErrors] = await outputErrors(heldBack.hessian, [weight, error])
  if (!task.lastSweep) await setAside(heldBack, task.stage)
  return { ...found, heldBackError: relative(heldBackErrors, heldBackOutputs) }
}

/** Rows that share a scale are all judged. */
function stepOf({ linear, args }: Task): number {
  return linear.rows >= MANY_ROWS && (args.strategy === 'group' || args.strategy === 'channel') ? JUDGED_ROWS : 1
}

/** Every `step`-th row of a matrix. */
function everyRow(step: number, matrix: Float32Array, columns: number): Float32Array {
  if (step === 1) return matrix
  const out = new Float32Array(Math.ceil(matrix.length / columns / step) * columns)
  for (let to = 0, at = 0; to < out.length; to += columns, at += step * columns) out.set(matrix.subarray(at, at + columns), to)
  return out
}

/** What plain rounding loses of every `step`-th row of the original weight. */
async function plainlyLost({ stage, linear, args, plainGlobalScale }: Task, step: number): Promise<Float32Array> {
  const { columns, dtype } = linear
  const rows = Math.ceil(linear.rows / step)
  const weight = everyRow(step, linear.weight, columns)
  const grid = minMaxGrid(weight, rows, columns, args, dtype, plainGlobalScale)
  return difference(await roundedValues(stage.kernels, weight, rows, columns, args, grid), weight)
}

/** The sum of `lost` relative to that of `whole`. */
function relative(lost: Float32Array, whole: Float32Array): number {
  const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0)
  const all = sum(whole)
  return all > 0 ? sum(lost) / all : 0
}

function difference(values: Float32Array, weight: Float32Array): Float32Array {
  const out = new Float32Array(weight.length)
  for (let i = 0; i < out.length; i++) out[i] = values[i] - weight[i]
  return out
}
