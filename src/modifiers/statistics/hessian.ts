import { quadraticForms } from '../../engine/gram.ts'
import type { SymmetricMatrix } from '../../numerics/symmetric-matrix.ts'
import type { Stage } from '../modifier.ts'
import { type Hessian, measureMoments } from './moments.ts'

/** The Hessian of a stage over all its calibration inputs. Errors: as `measureMoments`. */
export async function measureHessian(stage: Stage): Promise<Hessian> {
  return (await measureMoments(stage, { holdBack: false, view: null })).fitted.hessian
}

/** Columns by falling diagonal, ties in natural order: those that matter most are rounded first (act-order). */
export function activationOrder(hessian: Hessian): Int32Array {
  const d = hessian.matrix.diagonal()
  return Int32Array.from(d.keys()).sort((a, b) => d[b] - d[a] || a - b)
}

/** A factor of the damped Hessian in sweep order. */
export interface Factor {
  /** U [n, n], upper, inverse(H + lambda I) = UᵀU; let go of (empty) once the last linear has been swept with it. */
  values: Float32Array
  /** [n] the columns in sweep order. */
  readonly order: Int32Array
  /** What was added to the diagonal, as a fraction of its mean. */
  readonly damping: number
  /** What was added to the diagonal: damping * mean(diag H). Columns without inputs have the mean beside. */
  readonly lambda: number
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
  const { n, matrix } = hessian
  const d = matrix.diagonal()
  const mean = meanOf(d)
  for (const damping of dampings(dampening)) {
    const lambda = damping * mean
    // Made anew for each damping, since the engine uses it up.
    const permuted = matrix.permuted(order)
    for (let j = 0; j < n; j++) permuted[j * n + j] = (d[order[j]] || mean) + lambda
    const factor = await (stage.engine.inverseFactor?.(permuted, n) ?? stage.kernels.inverseFactor(permuted, n))
    if (factor) return { values: factor, order, damping, lambda }
  }
  return null
}

/**
 * Shows `work` H + lambda I in the model's order, as the factor's: positive definite. It is H itself for as long as that takes, since a
 * second one would be most of what a run holds where inputs are wide.
 */
export async function withDamping<T>({ matrix }: Hessian, { lambda }: Factor, work: (damped: SymmetricMatrix) => Promise<T>): Promise<T> {
  const before = matrix.diagonal()
  const mean = meanOf(before)
  try {
    matrix.setDiagonal(before.map((value) => (value || mean) + lambda))
    return await work(matrix)
  } finally {
    matrix.setDiagonal(before)
  }
}

/** [columns] the variance of each column that those after it in sweep order cannot make up for: what a squared rounding error weighs. */
export function conditionalVariance({ values, order }: Factor): Float32Array {
  const n = order.length
  const variance = new Float32Array(n)
  for (let j = 0; j < n; j++) variance[order[j]] = 1 / values[j * n + j] ** 2
  return variance
}

function meanOf(d: Float32Array): number {
  return d.reduce((sum, value) => sum + value, 0) / d.length || 1
}

/** e H eᵀ of every row e of matrices [rows, n]: the mean squared change of an output that the weight error e causes; [rows] for each. */
export function outputErrors({ matrix }: Hessian, errors: readonly Float32Array[]): Promise<Float32Array[]> {
  return quadraticForms(errors, matrix)
}
