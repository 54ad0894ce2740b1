import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { gram, matMul } from '../engine/mat-mul.ts'
import { RunError } from '../util/errors.ts'
import type { Stage } from './modifier.ts'

/** Second moments of a stage's inputs over the calibration tokens: what a squared error of its outputs weighs a weight error with. */
export interface Hessian {
  /** Columns of the stage's linears. */
  readonly n: number
  /** H [n, n] = Σ x xᵀ / tokens. The factor of two of GPTQ's eq. 1 cancels everywhere. */
  readonly values: Float32Array
  readonly tokens: number
}

/**
 * Sums xᵀx over the stage's calibration inputs. One Hessian serves every linear of the stage, since they read the same input.
 * Errors: RunError when an input is not finite, naming the stage.
 */
export async function measureHessian(stage: Stage): Promise<Hessian> {
  const sums: Tensor2D[] = []
  let tokens = 0
  try {
    await stage.eachInput((x) => {
      tokens += x.shape[0]
      const [sum] = sums
      sums[0] = tf.tidy(() => (sum ? tf.add<Tensor2D>(sum, gram(x)) : gram(x)))
      sum?.dispose()
    })
  } catch (error) {
    tf.dispose(sums)
    throw error
  }
  const [total] = sums
  if (!total) throw new RangeError(`Cannot measure ${stage.name}: no calibration rows, expected at least one`)
  const n = total.shape[0]
  const values = (await total.data()) as Float32Array
  total.dispose()
  for (let i = 0; i < values.length; i++) values[i] /= tokens
  for (let j = 0; j < n; j++) {
    if (!Number.isFinite(values[j * n + j])) {
      throw new RunError(`Cannot calibrate ${stage.name}: input channel ${j} is ${values[j * n + j]}, expected finite activations.`)
    }
  }
  return { n, values, tokens }
}

/** The diagonal [n]. */
export function diagonal({ n, values }: Hessian): Float32Array {
  return Float32Array.from({ length: n }, (_, j) => values[j * n + j])
}

/** Columns by falling diagonal, ties in natural order: those that matter most are rounded first (act-order). */
export function activationOrder(hessian: Hessian): Int32Array {
  const d = diagonal(hessian)
  return Int32Array.from(d.keys()).sort((a, b) => d[b] - d[a] || a - b)
}

/** A factor of the damped Hessian in sweep order. */
export interface Factor {
  /** U [n, n], upper, inverse(H + damping · mean(diag H) · I) = UᵀU. */
  readonly values: Float32Array
  readonly damping: number
}

/** The dampings to try: the one asked for, then upwards in steps of about two up to 1: 0.01, 0.02, 0.05, 0.1 ... of the mean diagonal. */
function* dampings(first: number): Generator<number> {
  yield first
  for (let decade = first || 0.001; decade < 1; decade *= 10) {
    for (const step of [2, 5, 10]) if (decade * step <= 1) yield decade * step
  }
}

/**
 * Factors the Hessian for the sweep, raising the damping as far as it takes. Columns without any input (zero diagonal) count as
 * independent ones. Null when even the last step is not positive definite.
 */
export async function dampedFactor(stage: Stage, hessian: Hessian, order: Int32Array, dampening: number): Promise<Factor | null> {
  const { n, values } = hessian
  const d = diagonal(hessian)
  const mean = d.reduce((sum, value) => sum + value, 0) / n || 1
  const permuted = new Float32Array(n * n)
  for (let i = 0; i < n; i++) for (let j = 0, row = order[i] * n; j < n; j++) permuted[i * n + j] = values[row + order[j]]
  for (const damping of dampings(dampening)) {
    for (let j = 0; j < n; j++) permuted[j * n + j] = (d[order[j]] || mean) + damping * mean
    const factor = await (stage.engine.inverseFactor?.(permuted, n) ?? stage.kernels.inverseFactor(permuted, n))
    if (factor) return { values: factor, damping }
  }
  return null
}

/** tr(E H Eᵀ) for each E [rows, n]: the mean squared change of the outputs, summed over them, that weight errors E cause. */
export function outputErrors(hessian: Hessian, errors: readonly Float32Array[]): number[] {
  return tf.tidy(() => {
    const h = tf.tensor2d(hessian.values, [hessian.n, hessian.n])
    return errors.map((values) => {
      const e = tf.tensor2d(values, [values.length / hessian.n, hessian.n])
      // Summed over rows on the engine and over the rest here: TensorFlow's full sum depends on the number of threads.
      const rows = tf.sum(tf.mul(matMul(e, h), e), 1).dataSync<'float32'>()
      return rows.reduce((sum, value) => sum + value, 0)
    })
  })
}
