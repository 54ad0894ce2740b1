import * as tf from '@tensorflow/tfjs-core'
import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { matMul } from '../engine/mat-mul.ts'
import { codeRange } from '../schemes/grid.ts'
import { observedGrid } from '../schemes/observed-grid.ts'
import { type Grid, minMaxGrid } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { weightGrid } from '../schemes/weight-grid.ts'
import { correctBias } from './bias-correction.ts'
import { conditionalVariance, damped, diagonal, type Factor, outputErrors } from './hessian.ts'
import type { Linear, LinearReport, Stage } from './modifier.ts'
import type { StageMoments } from './moments.ts'
import type { Levers } from './quality.ts'
import { aim, type Target } from './target.ts'

/** A linear with all that GPTQ knows about it. */
export interface Task {
  readonly stage: Stage
  readonly moments: StageMoments
  /** Null where the Hessian could not be factored: then the linear is rounded. */
  readonly factor: Factor | null
  readonly levers: Levers
  readonly aimed: { readonly target: Target; readonly most: number } | null
  readonly linear: Linear
  readonly scheme: QuantizationScheme
  readonly args: QuantizationArgs
}

/** Compresses a linear and reports on it: target, grid, sweep, refinement, bias; each as far as the levers say. */
export async function compressLinear(task: Task): Promise<void> {
  const { linear, scheme, args, factor, moments, aimed } = task
  const { name, rows, columns } = linear
  assertFinite(linear.weight, `${name}.weight`)
  const aim = factor && aimed ? aimAt(task, factor, aimed) : null
  const weight = aim?.weight ?? linear.weight
  const grid = await gridOf(task, weight, factor)
  linear.quantized = factor
    ? await refined(task, weight, await sweep(task, weight, grid, factor), factor)
    : quantizeToGrid(weight, rows, columns, args, grid)
  const values = dequantize(linear.quantized)
  correctBias(linear, weight, values, moments.fitted.mean)
  linear.report = {
    ...{ name, method: factor ? 'GPTQ' : 'RTN', scheme: schemeLabel(scheme), errorOf: 'outputs', seconds: 0 },
    ...errorsOf(task, weight, values),
    ...(aim && aimed && { target: { kind: aimed.target.kind, step: aim.step } }),
    ...(factor ? { damping: factor.damping } : { fallback: 'RTN: the Hessian is not positive definite at any damping' }),
  }
}

function aimAt({ linear, moments }: Task, factor: Factor, { target, most }: NonNullable<Task['aimed']>) {
  return aim(target, linear.weight, moments, factor, most)
}

/** The grid to round to: searched, or as the observer that the recipe names finds it. */
async function gridOf({ stage, moments, levers, linear, scheme, args }: Task, weight: Float32Array, factor: Factor | null): Promise<Grid> {
  const matrix = { ...linear, weight }
  const meanSquare = diagonal(moments.fitted.hessian)
  if (levers.scaleSearch === 'observer') return observedGrid(stage.kernels, matrix, args, meanSquare)
  const variance = factor && levers.scaleSearch === 'conditional_variance' && args.observer === null ? conditionalVariance(factor) : null
  const options = { importance: variance ?? meanSquare, signed: levers.signedScales, globalScale: null }
  return weightGrid(stage.kernels, matrix, scheme, args, options)
}

async function sweep({ stage, linear, args }: Task, weight: Float32Array, grid: Grid, { values, order }: Factor): Promise<Quantized> {
  const { rows, columns } = linear
  const groupSize = groupSizeOf(args, columns)
  const groups = columns / groupSize
  const perRow = grid.scale.length === rows * groups
  const result = await stage.kernels.sweep({
    rows,
    columns,
    weight: permuteColumns(weight, rows, columns, order),
    factor: values,
    // One scale for the whole tensor is the same scale for every row.
    scale: perRow ? grid.scale : new Float32Array(rows).fill(grid.scale[0]),
    zeroPoint: perRow || !grid.zeroPoint ? grid.zeroPoint : new Int8Array(rows).fill(grid.zeroPoint[0]),
    groups,
    // A column keeps the scale of its original group, so that no order has to be stored.
    groupOf: order.map((column) => Math.floor(column / groupSize)),
    ...codeRange(args),
  })
  const codes = new Int8Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let j = 0; j < columns; j++) codes[base + order[j]] = result.codes[base + j]
  }
  return { args, rows, columns, codes, ...grid }
}

/** Refits scales and descends on codes, where rows have scales of their own. */
async function refined(
  { stage, moments, levers, linear, args }: Task,
  weight: Float32Array,
  swept: Quantized,
  factor: Factor,
): Promise<Quantized> {
  const { rows, columns, dtype } = linear
  const { codes, scale, zeroPoint } = swept
  if (levers.refinementRounds === 0 || args.strategy === 'tensor' || !(codes instanceof Int8Array)) return swept
  const hessian = damped(moments.fitted.hessian, factor)
  const products = tf.tidy(() => matMul(tf.tensor2d(weight, [rows, columns]), tf.tensor2d(hessian, [columns, columns])))
  const product = products.dataSync<'float32'>()
  products.dispose()
  const bounds = { groupSize: groupSizeOf(args, columns), ...codeRange(args) }
  const grid = { codes, scale, zeroPoint, scaleDtype: dtype }
  const result = await stage.kernels.refine({
    rows,
    columns,
    weight,
    product,
    hessian,
    ...grid,
    ...bounds,
    rounds: levers.refinementRounds,
  })
  return { ...swept, codes: result.codes, scale: result.scale }
}

/**
 * Squared errors of the outputs relative to the outputs of what the codes stand for, on the rows fitted to and on those held back; and the
 * error of plain rounding, from minimum and maximum, of the original weight.
 */
function errorsOf(
  { moments: { fitted, heldBack }, linear, args }: Task,
  weight: Float32Array,
  values: Float32Array,
): Pick<LinearReport, 'error' | 'rtnError' | 'heldBackError'> {
  const { rows, columns, dtype } = linear
  const rounded = quantizeToGrid(linear.weight, rows, columns, args, minMaxGrid(linear.weight, rows, columns, args, dtype))
  const error = difference(values, weight)
  const [total, lost, byRounding] = outputErrors(fitted.hessian, [weight, error, difference(dequantize(rounded), linear.weight)])
  const relative = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  const errors = { error: relative(lost, total), rtnError: relative(byRounding, total) }
  if (!heldBack) return errors
  const [heldBackTotal, heldBackLost] = outputErrors(heldBack.hessian, [weight, error])
  return { ...errors, heldBackError: relative(heldBackLost, heldBackTotal) }
}

function difference(values: Float32Array, weight: Float32Array): Float32Array {
  return values.map((value, i) => value - weight[i])
}

function groupSizeOf({ strategy, group_size: size }: QuantizationArgs, columns: number): number {
  return strategy === 'group' && size ? size : columns
}

function permuteColumns(weight: Float32Array, rows: number, columns: number, order: Int32Array): Float32Array {
  const out = new Float32Array(weight.length)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let j = 0; j < columns; j++) out[base + j] = weight[base + order[j]]
  }
  return out
}
