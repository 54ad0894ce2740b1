import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { gramBands, readBands } from '../../engine/gram.ts'
import { quickMatMul } from '../../engine/mat-mul.ts'
import type { SymmetricMatrix } from '../../numerics/symmetric-matrix.ts'
import { RunError } from '../../util/errors.ts'
import { span } from '../../util/span.ts'
import type { CalibrationBatch, Stage } from '../modifier.ts'

/** What is wanted of a batch beside its inputs: where the outputs should go, and how much each token counts. Runs within a tidy. */
export interface TargetView {
  /** Y [tokens, m] */
  pull(input: Tensor2D, batch: CalibrationBatch): Tensor2D
  /** [tokens, 1], positive; null: all alike. */
  weights(batch: CalibrationBatch): Tensor2D | null
}

/** Second moments of a stage's inputs over the calibration tokens: what a squared error of its outputs weighs a weight error with. */
export interface Hessian {
  /** Columns of the stage's linears. */
  readonly n: number
  /** H [n, n] = Σ x xᵀ / tokens. The factor of two of GPTQ's eq. 1 cancels everywhere. */
  readonly matrix: SymmetricMatrix
  readonly tokens: number
}

/** Second moments of a stage's inputs X over tokens, weighted by w: sums over tokens divided by Σ w. */
export interface Moments {
  /** Xᵀ diag(w) X */
  readonly hessian: Hessian
  /** Xᵀ diag(w) Y [n, m], Y of the target view; null without one. */
  readonly pull: { readonly values: Float32Array; readonly columns: number } | null
  /** Mean of X [n], of all tokens alike. */
  readonly mean: Float32Array
}

/** Moments of the rows to fit to, and of those held back; null where there are none. */
export interface StageMoments {
  readonly fitted: Moments
  readonly heldBack: Moments | null
}

/**
 * Measures a stage in one pass over its calibration inputs. One set of moments serves every linear of the stage, since they read the same
 * input, and those of a layer's experts share theirs. Errors: RunError when an input is not finite, naming the stage.
 */
export async function measureMoments(stage: Stage, holdBack: boolean, view: TargetView | null): Promise<StageMoments> {
  if (view || !stage.measured) return measured(stage, holdBack, view)
  const asked = holdBack ? 'moments, rows held back' : 'moments of all rows'
  const moments = (stage.measured.get(asked) as StageMoments | undefined) ?? (await measured(stage, holdBack, view))
  stage.measured.set(asked, moments)
  return moments
}

async function measured(stage: Stage, holdBack: boolean, view: TargetView | null): Promise<StageMoments> {
  const fitted = new MomentSum()
  const heldBack = new MomentSum()
  try {
    await span('step', 'moments', () =>
      stage.eachInput((input, batch) => (holdBack && batch.heldBack ? heldBack : fitted).add(input, batch, view)),
    )
    const found = { fitted: await fitted.take(stage.name), heldBack: heldBack.tokens > 0 ? await heldBack.take(stage.name) : null }
    if (!view) await setAside(found.heldBack, stage)
    return found
  } finally {
    fitted.dispose()
    heldBack.dispose()
  }
}

/** Columns from which on moments are large enough to be set aside: 64 MB. */
const WIDE = 4096

/** Puts the moments of rows that are held back on the shelf, where there is one: they are needed when a linear is judged. */
export async function setAside(heldBack: Moments | null, { shelf }: Stage): Promise<void> {
  if (heldBack && shelf && heldBack.hessian.n > WIDE) await heldBack.hessian.matrix.park(shelf)
}

/** Running sums on the engine: of x, of the target's pull where there is one, and the bands of the Hessian. */
class MomentSum {
  tokens = 0
  #sums: Tensor[] = []
  /** Of each batch, where tokens have them; read all at once. */
  #weights: Tensor2D[] = []
  #bands: Tensor2D[] = []
  #hasPull = false

  add(input: Tensor2D, batch: CalibrationBatch, view: TargetView | null): void {
    const before = this.#sums
    const bandsBefore = this.#bands
    const [weights = null] = tf.tidy(() => [view?.weights(batch) ?? []].flat())
    if (weights) this.#weights.push(weights)
    const { sums, bands } = tf.tidy(() => {
      const root = weights && tf.sqrt(weights)
      const weighted = <T extends Tensor2D>(x: T): T => (root ? tf.mul<T>(x, root) : x)
      const x = weighted(input)
      const pull = view ? [quickMatMul(x, weighted(view.pull(input, batch)), true)] : []
      const parts: Tensor[] = [tf.sum(input, 0), ...pull]
      return { sums: before.length > 0 ? parts.map((part, i) => tf.add(before[i], part)) : parts, bands: gramBands(x, bandsBefore) }
    })
    this.#sums = sums
    this.#bands = bands
    tf.dispose(before)
    this.#hasPull = view !== null
    this.tokens += input.shape[0]
  }

  async take(stage: string): Promise<Moments> {
    if (this.#sums.length === 0) throw new RangeError(`Cannot measure ${stage}: no calibration rows, expected at least one`)
    const [sum, pulled] = this.#sums
    const matrix = await readBands(this.#bands)
    const mean = await sum.data<'float32'>()
    const pull = this.#hasPull ? await pulled.data<'float32'>() : null
    const weight = await this.#totalWeight()
    const n = mean.length
    matrix.divide(weight)
    for (let i = 0; i < n; i++) mean[i] /= this.tokens
    if (pull) for (let i = 0; i < pull.length; i++) pull[i] /= weight
    for (const [j, value] of matrix.diagonal().entries()) {
      if (!Number.isFinite(value))
        throw new RunError(`Cannot calibrate ${stage}: input channel ${j} is ${value}, expected finite activations.`)
    }
    return { hessian: { n, matrix, tokens: this.tokens }, pull: pull ? { values: pull, columns: pull.length / n } : null, mean }
  }

  /** Summed here: TensorFlow's full sum depends on the number of threads. */
  async #totalWeight(): Promise<number> {
    if (this.#weights.length === 0) return this.tokens
    const weights = await Promise.all(this.#weights.map((tensor) => tensor.data<'float32'>()))
    return weights.reduce((total, own) => total + own.reduce((sum, value) => sum + value, 0), 0)
  }

  dispose(): void {
    tf.dispose([...this.#sums, ...this.#bands, ...this.#weights])
    this.#sums = []
    this.#bands = []
    this.#weights = []
  }
}
