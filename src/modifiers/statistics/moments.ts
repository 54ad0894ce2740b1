import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { toFloat32 } from '../../engine/bfloat16.ts'
import { gramBands, readBands } from '../../engine/gram.ts'
import { quickMatMul } from '../../engine/mat-mul.ts'
import { roundsOutputs } from '../../engine/precision.ts'
import { sumRows } from '../../engine/sum-rows.ts'
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
  /** Mean of X [n], of all tokens alike; null where no linear of the stage has a bias. */
  readonly mean: Float32Array | null
}

/** Moments of the rows to fit to, and of those held back; null where there are none. */
export interface StageMoments {
  readonly fitted: Moments
  readonly heldBack: Moments | null
  /** True where sums were rounded to bfloat16 batch by batch: they may not be positive definite where exact ones are. */
  readonly rounded: boolean
}

/** What is measured of a stage's inputs. */
export interface MomentsRequest {
  /** Rows that are held back are summed apart. */
  readonly holdBack: boolean
  readonly view: TargetView | null
  /** In float32 whatever the run's precision. */
  readonly exact?: boolean
}

/**
 * Measures a stage in one pass over its calibration inputs. One set of moments serves every linear of the stage, since they read the same
 * input, and those of a layer's experts share theirs. Errors: RunError when an input is not finite, naming the stage.
 */
export async function measureMoments(stage: Stage, request: MomentsRequest): Promise<StageMoments> {
  if (request.view || !stage.measured) return measured(stage, request)
  const asked = `moments of ${request.holdBack ? 'rows, some held back' : 'all rows'}${request.exact ? ', exact' : ''}`
  const moments = (stage.measured.get(asked) as StageMoments | undefined) ?? (await measured(stage, request))
  stage.measured.set(asked, moments)
  return moments
}

async function measured(stage: Stage, { holdBack, view, exact = false }: MomentsRequest): Promise<StageMoments> {
  // A target is solved for with them: rounded sums would be rounded targets.
  const rounded = !exact && !view && roundsOutputs()
  const settings = { rounded, withMean: stage.linears.some(({ bias }) => bias) }
  const fitted = new MomentSum(settings)
  const heldBack = new MomentSum(settings)
  try {
    const visit = (input: Tensor2D, batch: CalibrationBatch) => (holdBack && batch.heldBack ? heldBack : fitted).add(input, batch, view)
    await span('step', 'moments', () => (rounded && stage.eachFactor ? stage.eachFactor(visit) : stage.eachInput(visit)))
    const found = {
      fitted: await fitted.take(stage.name),
      heldBack: heldBack.tokens > 0 ? await heldBack.take(stage.name) : null,
      rounded,
    }
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
  readonly #rounded: boolean
  readonly #withMean: boolean
  /** The sum of x where the mean is wanted, then the pull where there is a target. */
  #sums: Tensor[] = []
  /** Of each batch, where tokens have them; read all at once. */
  #weights: Tensor2D[] = []
  #bands: Tensor2D[] = []
  #hasPull = false

  constructor({ rounded, withMean }: { readonly rounded: boolean; readonly withMean: boolean }) {
    this.#rounded = rounded
    this.#withMean = withMean
  }

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
      const parts: Tensor[] = [...(this.#withMean ? [sumRows(toFloat32(input))] : []), ...pull]
      return {
        sums: before.length > 0 ? parts.map((part, i) => tf.add(before[i], part)) : parts,
        bands: gramBands(x, bandsBefore, this.#rounded),
      }
    })
    this.#sums = sums
    this.#bands = bands
    tf.dispose(before)
    this.#hasPull = view !== null
    this.tokens += input.shape[0]
  }

  async take(stage: string): Promise<Moments> {
    if (this.tokens === 0) throw new RangeError(`Cannot measure ${stage}: no calibration rows, expected at least one`)
    const sums = [...this.#sums]
    const matrix = await readBands(this.#bands)
    const mean = this.#withMean ? ((await sums.shift()?.data<'float32'>()) ?? null) : null
    const pull = this.#hasPull ? ((await sums.shift()?.data<'float32'>()) ?? null) : null
    const weight = await this.#totalWeight()
    const { n } = matrix
    matrix.divide(weight)
    if (mean) for (let i = 0; i < n; i++) mean[i] /= this.tokens
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
