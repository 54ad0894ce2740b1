import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../engine/breathe.ts'
import type { LayerWalk } from '../models/architecture.ts'
import { type Batch, cutBatches } from '../models/batches.ts'
import { Walker } from '../models/walker.ts'
import { applyLinear, type LinearTensors } from '../models/weights.ts'
import type { CalibrationBatch } from '../modifiers/modifier.ts'

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
 * stage. It owns their tensors until `take` gives the layer's outputs.
 */
export class Streams {
  readonly #batches: readonly StreamBatch[]
  readonly #signal: AbortSignal
  readonly #compressed: Walker[] = []
  readonly #originals: Walker[] | null
  /** Outputs of the stage in the original model, by batch, where they were worked out ahead. */
  #ahead: Tensor2D[][] = []

  private constructor(batches: readonly StreamBatch[], signal: AbortSignal, withOriginals: boolean) {
    this.#batches = batches
    this.#signal = signal
    this.#originals = withOriginals ? [] : null
  }

  /** Starts the walk of each batch; the hidden states pass into the streams' hands, also when this fails. */
  static async open(
    batches: readonly StreamBatch[],
    hidden: HiddenStates,
    walk: (batch: StreamBatch, input: Tensor2D, original: boolean) => LayerWalk,
    signal: AbortSignal,
  ): Promise<Streams> {
    const streams = new Streams(batches, signal, hidden.originals !== null)
    try {
      for (const [i, batch] of batches.entries()) {
        streams.#compressed.push(await Walker.start(walk(batch, hidden.compressed[i], false), hidden.compressed[i]))
        if (hidden.originals) streams.#originals?.push(await Walker.start(walk(batch, hidden.originals[i], true), hidden.originals[i]))
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

  /** Shows the stage's input of each batch. */
  async each(visit: (input: Tensor2D, batch: CalibrationBatch) => void): Promise<void> {
    for (const [i, { shape, heldBack }] of this.#batches.entries()) {
      const { input, residual = null } = this.#compressed[i].request
      const [residualAfter] = this.#ahead[i] ?? []
      const original = this.#originals?.[i].request
      const after = original?.residual && residualAfter ? tf.add<Tensor2D>(original.residual, residualAfter) : null
      try {
        visit(input, { ...shape, heldBack, residual, original: original ? { input: original.input, residualAfter: after } : null })
      } finally {
        after?.dispose()
      }
      await this.#breathe()
    }
  }

  /** Divides the channels [columns] of the stage's inputs. */
  async rescale(divisors: Float32Array): Promise<void> {
    const divisor = tf.tensor1d(divisors)
    try {
      for (const walker of [...this.#compressed, ...(this.#originals ?? [])]) {
        walker.replaceInput((input) => tf.div(input, divisor))
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
      this.#ahead.push(tf.tidy(() => linears.map((linear) => applyLinear(input, linear))))
      await this.#breathe()
    }
  }

  /** Takes every batch to the next stage. `originals` are not needed where `lookAhead` was called. */
  async answer(compressed: readonly LinearTensors[], originals: readonly LinearTensors[]): Promise<void> {
    for (const [i, walker] of this.#compressed.entries()) {
      await answerWith(walker, compressed)
      await this.#breathe()
      const original = this.#originals?.[i]
      if (!original) continue
      const ahead = this.#ahead[i]
      if (ahead) {
        this.#ahead[i] = []
        await original.answer(ahead)
      } else await answerWith(original, originals)
      await this.#breathe()
    }
    this.#ahead = []
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
  const { input } = walker.request
  await walker.answer(tf.tidy(() => linears.map((linear) => applyLinear(input, linear))))
}
