import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { HostRequest, LayerWalk, StageRequest } from './architecture.ts'

/**
 * One batch on its way through a layer. It owns the tensors between the requests: what the layer's generator makes on the way is
 * disposed of at the next request, but for the request's input and what the generator asked to keep.
 */
export class Walker {
  readonly #walk: LayerWalk
  #held: Set<Tensor>
  #request: StageRequest | null = null
  #result: Tensor2D | null = null

  private constructor(walk: LayerWalk, input: Tensor2D) {
    this.#walk = walk
    this.#held = new Set([input])
  }

  /** A walk that stands at its first stage. `input` passes into the walker's hands, also when this fails. */
  static async start(walk: LayerWalk, input: Tensor2D): Promise<Walker> {
    const walker = new Walker(walk, input)
    await walker.answer([])
    return walker
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
   * Answers the request with one output per linear, which pass into the walker's hands, and goes on to the next stage; requests of the host
   * on the way are met. When the layer's generator throws, all that the walker owns is disposed of.
   */
  async answer(outputs: readonly Tensor2D[]): Promise<void> {
    for (const tensor of outputs) this.#held.add(tensor)
    try {
      let asked = this.#next(outputs)
      while (asked) asked = this.#next(await this.#work(asked))
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  /** Runs the generator to its next request and disposes of what does not outlive the step. Gives the request where it is the host's. */
  #next(outputs: readonly Tensor2D[]): HostRequest | null {
    let asked: HostRequest | null = null
    const held = tf.tidy((): Tensor[] => {
      const step = this.#walk.next(outputs)
      this.#request = null
      if (step.done) {
        this.#result = step.value
        return [step.value]
      }
      const request = step.value
      if ('read' in request) {
        asked = request
        return [...request.read, ...request.keep]
      }
      this.#request = request
      return [request.input, ...request.keep]
    })
    const kept = new Set(held)
    for (const tensor of this.#held) if (!kept.has(tensor)) tensor.dispose()
    this.#held = kept
    return asked
  }

  async #work({ read, work }: HostRequest): Promise<readonly Tensor2D[]> {
    const given = work(await Promise.all(read.map((tensor) => tensor.data<'float32'>())))
    for (const tensor of given) this.#held.add(tensor)
    return given
  }

  /** Gives up the walk. */
  dispose(): void {
    tf.dispose([...this.#held])
    this.#held.clear()
  }
}
