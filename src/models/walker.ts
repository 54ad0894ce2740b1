import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { LayerWalk, StageRequest } from './architecture.ts'

/**
 * One batch on its way through a layer. It owns the tensors between the requests: what the layer's generator makes on the way is
 * disposed of at the next request, but for the request's input and what the generator asked to keep.
 */
export class Walker {
  readonly #walk: LayerWalk
  #held: Set<Tensor>
  #request: StageRequest | null = null
  #result: Tensor2D | null = null

  /** `input` passes into the walker's hands. The walk stands at its first request afterwards. */
  constructor(walk: LayerWalk, input: Tensor2D) {
    this.#walk = walk
    this.#held = new Set([input])
    this.answer([])
  }

  /** The request that waits for an answer. Errors: RangeError when the walk has ended. */
  get request(): StageRequest {
    if (!this.#request) throw new RangeError('Cannot ask for a request: the walk has ended, expected no more stages')
    return this.#request
  }

  /** The tensors that it owns: the request's input and what is kept beside it, or the result. */
  get held(): readonly Tensor[] {
    return [...this.#held]
  }

  /** Puts what `change` makes of the request's input in its place; the walker owns it, and disposes of the old one. */
  replaceInput(change: (input: Tensor2D) => Tensor2D): void {
    const request = this.request
    const { input } = request
    const changed = tf.tidy(() => change(input))
    this.#request = { ...request, input: changed }
    this.#held.add(changed)
    if (request.keep.includes(input)) return
    this.#held.delete(input)
    input.dispose()
  }

  /** The layer's output once the walk has ended, null before; the caller disposes of it. */
  get result(): Tensor2D | null {
    return this.#result
  }

  /**
   * Answers the request with one output per linear, which pass into the walker's hands, and goes on to the next request. When the layer's
   * generator throws, all that the walker owns is disposed of.
   */
  answer(outputs: readonly Tensor2D[]): void {
    for (const tensor of outputs) this.#held.add(tensor)
    try {
      const held = new Set(this.#next(outputs))
      for (const tensor of this.#held) if (!held.has(tensor)) tensor.dispose()
      this.#held = held
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  /** Runs the generator to its next request; gives the tensors that outlive the step. */
  #next(outputs: readonly Tensor2D[]): Tensor[] {
    return tf.tidy(() => {
      const step = this.#walk.next(outputs)
      this.#request = step.done ? null : step.value
      this.#result = step.done ? step.value : null
      return step.done ? [step.value] : [step.value.input, ...step.value.keep]
    })
  }

  /** Gives up the walk. */
  dispose(): void {
    tf.dispose([...this.#held])
    this.#held.clear()
  }
}
