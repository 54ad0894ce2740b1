import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { Factor } from '../statistics/hessian.ts'
import type { Moments, StageMoments, TargetView } from '../statistics/moments.ts'

/** Moments on the engine. */
type MomentTensors = { readonly hessian: Tensor2D; readonly pull: Tensor2D }

/** Somewhere else than the original weight's outputs for a linear to go. */
export interface Target extends TargetView {
  readonly kind: 'inputs' | 'residual'
  /** Xᵀ diag(w) (wanted - X Wᵀ) transposed, [rows, n]: half the downward slope of the squared miss. Runs within a tidy. */
  gradient(weight: Tensor2D, moments: MomentTensors): Tensor
}

/** A weight to round instead of the original, and how far towards the target it goes. */
export interface Aimed {
  /** [rows, n] */
  readonly weight: Float32Array
  /** Fraction of the way to the least squares solution. */
  readonly step: number
}

/**
 * W + step D with D = G (H + lambda I)⁻¹ for each weight W of a stage, G the target's gradient on the fitted rows and lambda the damping of
 * the factor. The step is `most`, or less where rows that were held back say that less is better: the miss there is quadratic in the step,
 * so its minimum is known.
 */
export async function aim(
  target: Target,
  weights: readonly Float32Array[],
  moments: StageMoments,
  factor: Factor,
  most: number,
): Promise<Aimed[]> {
  const { n } = moments.fitted.hessian
  const shared: Shared = tf.tidy(() => ({
    u: tf.tensor2d(naturalOrder(factor), [n, n]),
    moments: [moments.fitted, moments.heldBack].flatMap((own) => (own ? tensors(own) : [])),
  }))
  try {
    const aimed: Aimed[] = []
    for (const weight of weights) aimed.push(await aimOne(target, weight, shared, most))
    return aimed
  } finally {
    tf.dispose(shared)
  }
}

/** What the linears of a stage share. A type, as tfjs wants for what it disposes of. */
type Shared = {
  /** V of `naturalOrder`. */
  u: Tensor2D
  /** Of the fitted rows, and of those held back where there are any. */
  moments: MomentTensors[]
}

async function aimOne(target: Target, weight: Float32Array, { u, moments: [fitted, heldBack] }: Shared, most: number): Promise<Aimed> {
  const [n] = u.shape
  const found = tf.tidy(() => {
    const w = tf.tensor2d(weight, [weight.length / n, n])
    const direction = matMul(matMul(target.gradient(w, fitted), u, false, true), u)
    return [direction, ...(heldBack ? slopeAndCurvature(target, w, direction, heldBack) : [])]
  })
  const [values, slopes, curvatures] = await Promise.all(found.map((tensor) => tensor.data<'float32'>()))
  tf.dispose(found)
  const step = Math.min(most, slopes ? bestStep(sum(slopes), sum(curvatures)) : most)
  const aimed = new Float32Array(weight.length)
  for (let i = 0; i < aimed.length; i++) aimed[i] = weight[i] + step * values[i]
  return { weight: aimed, step }
}

/** The step along a direction D with the least miss, at least 0: <D, G> / <D H, D>. */
function bestStep(slope: number, curvature: number): number {
  return slope > 0 && curvature > 0 ? slope / curvature : 0
}

/**
 * <D, G> and <D H, D> on some rows, of each row of the direction D [rows, n]: [rows] each. Rows are summed on the engine and the rest
 * outside: TensorFlow's full sum depends on the number of threads.
 */
function slopeAndCurvature(target: Target, weight: Tensor2D, direction: Tensor, moments: MomentTensors): Tensor[] {
  const byRow = (x: Tensor) => tf.sum(tf.mul(direction, x), 1)
  return [byRow(target.gradient(weight, moments)), byRow(matMul(direction, moments.hessian))]
}

function tensors({ hessian: { n, matrix }, pull }: Moments): MomentTensors {
  if (!pull) throw new RangeError('Cannot aim at a target: its moments were not measured, expected a view of it')
  return { hessian: tf.tensor2d(matrix.block(0, n, 0, n), [n, n]), pull: tf.tensor2d(pull.values, [n, pull.columns]) }
}

/** V [n, n] with inverse(H + lambda I) = VᵀV, columns in the model's order: those of U put back in their places. */
function naturalOrder({ values, order }: Factor): Float32Array {
  const n = order.length
  const out = new Float32Array(n * n)
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) out[i * n + order[j]] = values[i * n + j]
  return out
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0)
}
