import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { toFloat32 } from '../engine/bfloat16.ts'
import { breathe } from '../engine/breathe.ts'
import { linearInput } from '../engine/mat-mul.ts'
import type { LayerWalk } from '../models/architecture.ts'
import { type Batch, cutBatches } from '../models/batches.ts'
import { Walker } from '../models/walker.ts'
import { applyLinears, type LinearTensors } from '../models/weights.ts'
import type { CalibrationBatch } from '../modifiers/modifier.ts'
import type { TensorStore } from './tensor-store.ts'

/** A batch of calibration rows. */
export interface StreamBatch extends Batch {
  /** Rows to judge by, not to fit to. */
  readonly heldBack: boolean
}

/** One row in so many is held back: enough to judge a step by, few enough not to be missed. */
const HOLD_BACK = 16

/**
 * Cuts calibration rows into batches, those of every sixteenth row apart from the others. The longest rows come first and those of one
 * length together, otherwise in their order: no row is ever padded, so no padding enters a statistic.
 */
export function streamBatches(rows: readonly Int32Array[]): StreamBatch[] {
  const isHeldBack = (index: number) => index % HOLD_BACK === HOLD_BACK - 1
  return [false, true].flatMap((heldBack) => {
    const own = rows.filter((_, index) => isHeldBack(index) === heldBack).sort((a, b) => b.length - a.length)
    return cutBatches(own).map((batch) => ({ ...batch, heldBack }))
  })
}

/** Hidden states between two layers, one tensor a batch: of the model as compressed so far, and, where asked for, of the original. */
export interface HiddenStates {
  readonly compressed: readonly Tensor2D[]
  readonly originals: readonly Tensor2D[] | null
}

/** Disposes of hidden states. */
export function disposeHidden({ compressed, originals }: HiddenStates): void {
  tf.dispose([...compressed, ...(originals ?? [])])
}

/**
 * All batches on their way through one layer: the model as compressed so far and, where asked for, the original beside it, both at the same
 * stage. It owns their tensors until `take` gives the layer's outputs; between two steps they are parked in the store, batch by batch.
 */
export class Streams {
  readonly #batches: readonly StreamBatch[]
  readonly #signal: AbortSignal
  readonly #store: TensorStore
  readonly #compressed: Walker[] = []
  readonly #originals: Walker[] | null
  /** Outputs of the stage in the original model, by batch, where they were worked out ahead. */
  #ahead: Tensor2D[][] = []

  private constructor(batches: readonly StreamBatch[], signal: AbortSignal, store: TensorStore, withOriginals: boolean) {
    this.#batches = batches
    this.#signal = signal
    this.#store = store
    this.#originals = withOriginals ? [] : null
  }

  /** Starts the walk of each batch; the hidden states, parked, pass into the streams' hands, also when this fails. */
  static async open(
    batches: readonly StreamBatch[],
    hidden: HiddenStates,
    walk: (batch: StreamBatch, input: Tensor2D, original: boolean) => LayerWalk,
    signal: AbortSignal,
    store: TensorStore,
  ): Promise<Streams> {
    const streams = new Streams(batches, signal, store, hidden.originals !== null)
    const begin = async (walkers: Walker[], batch: StreamBatch, input: Tensor2D, original: boolean) => {
      await store.load([input])
      const walker = await Walker.start(walk(batch, input, original), input)
      walkers.push(walker)
      await store.park(walker.held)
    }
    try {
      for (const [i, batch] of batches.entries()) {
        await begin(streams.#compressed, batch, hidden.compressed[i], false)
        if (hidden.originals && streams.#originals) await begin(streams.#originals, batch, hidden.originals[i], true)
        await streams.#breathe()
      }
      return streams
    } catch (error) {
      const { compressed, originals } = hidden
      tf.dispose([...compressed.slice(streams.#compressed.length), ...(originals?.slice(streams.#originals?.length) ?? [])])
      streams.dispose()
      throw error
    }
  }

  get hasOriginals(): boolean {
    return this.#originals !== null
  }

  /** Shows the stage's input of each batch: in float32, or `asStored`, which may be bfloat16. */
  async each(visit: (input: Tensor2D, batch: CalibrationBatch) => void, asStored = false): Promise<void> {
    for (const [i, { shape, heldBack }] of this.#batches.entries()) {
      const { input, residual = null } = this.#compressed[i].request
      const [residualAfter] = this.#ahead[i] ?? []
      const original = this.#originals?.[i].request
      const shown = [input, residual, residualAfter, original?.input, original?.residual].flatMap((tensor) => tensor ?? [])
      await this.#store.load(shown)
      const after = original?.residual && residualAfter ? tf.add<Tensor2D>(original.residual, residualAfter) : null
      const own = asStored ? input : toFloat32(input)
      const originalInput = original ? toFloat32(original.input) : null
      try {
        visit(own, { ...shape, heldBack, residual, original: originalInput && { input: originalInput, residualAfter: after } })
      } finally {
        after?.dispose()
        if (own !== input) own.dispose()
        if (originalInput !== original?.input) originalInput?.dispose()
      }
      await this.#store.park(shown)
      await this.#breathe()
    }
  }

  /** Divides the channels [columns] of the stage's inputs. */
  async rescale(divisors: Float32Array): Promise<void> {
    const divisor = tf.tensor1d(divisors)
    try {
      for (const walker of [...this.#compressed, ...(this.#originals ?? [])]) {
        await this.#store.load([walker.request.input])
        // Rounded once, as products take it: what comes next is one.
        walker.replaceInput((input) => linearInput(tf.div(toFloat32(input), divisor)).values)
        await this.#store.park(walker.held)
        await this.#breathe()
      }
    } finally {
      divisor.dispose()
    }
  }

  /** Works out the outputs of the original model's stage, which then know where the residual stream should go. */
  async lookAhead(linears: readonly LinearTensors[]): Promise<void> {
    for (const walker of this.#originals ?? []) {
      const { input } = walker.request
      await this.#store.load([input])
      const outputs = applyLinears(input, linears)
      this.#ahead.push(outputs)
      await this.#store.park([input, ...outputs])
      await this.#breathe()
    }
  }

  /**
   * Takes every batch to the next stage, showing its input to `watch` on the way. `originals` are not needed where `lookAhead` was called.
   */
  async answer(compressed: readonly LinearTensors[], originals: readonly LinearTensors[], watch: (input: Tensor2D) => void): Promise<void> {
    for (const [i, walker] of this.#compressed.entries()) {
      await this.#advance(walker, [], () => {
        watch(walker.request.input)
        return answerWith(walker, compressed)
      })
      const original = this.#originals?.[i]
      if (!original) continue
      const ahead = this.#ahead[i]
      await this.#advance(original, ahead ?? [], async () => {
        if (!ahead) return answerWith(original, originals)
        this.#ahead[i] = []
        await original.answer(ahead)
      })
    }
    this.#ahead = []
  }

  /** Does the step of a walk that needs its tensors and those of `beside`. */
  async #advance(walker: Walker, beside: readonly Tensor[], step: () => Promise<void>): Promise<void> {
    await this.#store.load([...walker.held, ...beside])
    await step()
    await this.#store.park(walker.held)
    await this.#breathe()
  }

  /** The layer's outputs, which pass into the caller's hands. */
  take(): HiddenStates {
    const results = (walkers: readonly Walker[]) => walkers.flatMap(({ result }) => result ?? [])
    return { compressed: results(this.#compressed), originals: this.#originals && results(this.#originals) }
  }

  /** Gives up the walks. */
  dispose(): void {
    for (const walker of [...this.#compressed, ...(this.#originals ?? [])]) walker.dispose()
    tf.dispose(this.#ahead)
    this.#ahead = []
  }

  /** Lets timers and signals in between two batches. */
  async #breathe(): Promise<void> {
    await breathe()
    this.#signal.throwIfAborted()
  }
}

async function answerWith(walker: Walker, linears: readonly LinearTensors[]): Promise<void> {
  const { input, mayBeRounded } = walker.request
  await walker.answer(applyLinears(input, linears, mayBeRounded))
}
