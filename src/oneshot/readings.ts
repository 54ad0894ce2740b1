import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'

/**
 * Small tensors that are measured in the midst of a walk and read together later: a GPU is waited for once, and generators need not wait.
 * It owns them until they are taken or disposed of.
 */
export class Readings {
  #tensors: Tensor[] = []

  /** Puts what `measure` makes aside, from within a tidy too; its intermediates are disposed of. */
  add(measure: () => Tensor): void {
    this.#tensors.push(tf.keep(tf.tidy(measure)))
  }

  /** The values in the order they came; afterwards there are none. */
  async take(): Promise<Float32Array[]> {
    const tensors = this.#tensors
    this.#tensors = []
    try {
      return await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()))
    } finally {
      tf.dispose(tensors)
    }
  }

  /** Gives up what was not taken. */
  dispose(): void {
    tf.dispose(this.#tensors)
    this.#tensors = []
  }
}
