import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { type Batch, longestRow } from '../models/batches.ts'
import type { OpenModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'
import { ForwardPass, type Head } from './forward-pass.ts'
import type { OutlierColumns } from './outlier-columns.ts'

/** How far a checkpoint is from its original on the same tokens; sums in double. */
export interface DivergenceSums {
  /** Of KL(original ‖ checkpoint) over tokens, in nats. */
  kl: number
  /** Tokens for which both think the same one the most likely. */
  agreed: number
  tokens: number
  /** By layer, ‖difference‖² and ‖original's‖² of the hidden states that leave it; entry 0 is what enters the first. */
  readonly hidden: { difference: number; original: number }[]
}

/**
 * A checkpoint among those that read the same rows side by side: its hidden states in the block at hand and what it scored so far. An error
 * that is the checkpoint's own takes it out of the contest; the others go on.
 */
export class Contestant {
  readonly source: OpenModel
  /** Log probabilities of the targets, in order. */
  readonly scores: number[] = []
  readonly divergence: DivergenceSums = { kl: 0, agreed: 0, tokens: 0, hidden: [] }
  /** Why it is out. */
  error: UserError | null = null
  #pass: ForwardPass | null = null
  #hidden: Tensor2D[] = []
  #shared: Tensor[] = []

  constructor(source: OpenModel) {
    this.source = source
  }

  /** The hidden states after the layers gone through so far, a tensor a batch. */
  get hidden(): readonly Tensor2D[] {
    return this.#hidden
  }

  /** Columns of inputs that LLM.int8 left in 16 bits so far; null for other checkpoints. */
  get outliers(): OutlierColumns | null {
    return this.#pass?.outliers ?? null
  }

  /** Begins a block of batches. */
  async begin(batches: readonly Batch[]): Promise<void> {
    await this.attempt(async () => {
      this.#pass ??= await ForwardPass.open(this.source)
      this.#shared = this.source.model.shared(longestRow(batches))
      this.#hidden = await this.#pass.embed(batches)
    })
  }

  /** Takes its hidden states through a layer, if it has one of that number. */
  async advance(layer: number, batches: readonly Batch[], signal?: AbortSignal): Promise<void> {
    await this.attempt(async () => {
      if (!this.#pass || layer >= this.source.model.layers) return
      const before = this.#hidden
      this.#hidden = []
      this.#hidden = await this.#pass.throughLayer(layer, before, batches, this.#shared, signal)
    })
  }

  /** Its head with the weight on the engine, null where it is out. The caller disposes of it. */
  async openHead(): Promise<Head | null> {
    return (await this.attempt(async () => this.#pass?.openHead())) ?? null
  }

  /** Does something for this checkpoint alone; nothing where it is out. Errors that are not about it are thrown on. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.error) return undefined
    try {
      return await work()
    } catch (error) {
      this.end()
      if (!(error instanceof UserError)) throw error
      this.error = error
      return undefined
    }
  }

  /** Ends a block, at whatever point. */
  end(): void {
    tf.dispose([...this.#hidden, ...this.#shared])
    this.#hidden = []
    this.#shared = []
  }
}
