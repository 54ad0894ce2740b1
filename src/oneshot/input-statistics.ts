import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { InputStatistics } from '../report/statistics.ts'

/** Channels that are named, largest first. */
const NAMED = 10

/** Sums over the inputs of a stage, batch by batch, on the engine. It owns them until they are taken or disposed of. */
export class InputSums {
  #sums: Tensor1D[] = []
  #tokens = 0

  /** Takes in [tokens, channels]; nothing is read from the engine. */
  add(input: Tensor2D): void {
    const before = this.#sums
    this.#sums = tf.tidy(() => {
      const found = [tf.min<Tensor1D>(input, 0), tf.max<Tensor1D>(input, 0), tf.sum<Tensor1D>(tf.square(input), 0)]
      if (before.length === 0) return found
      return [tf.minimum(before[0], found[0]), tf.maximum(before[1], found[1]), tf.add<Tensor1D>(before[2], found[2])]
    })
    tf.dispose(before)
    this.#tokens += input.shape[0]
  }

  /** What was taken in; null where nothing was. Afterwards there is nothing. */
  async take(): Promise<InputStatistics | null> {
    const sums = this.#sums
    this.#sums = []
    try {
      if (sums.length === 0) return null
      const [low, high, squares] = (await Promise.all(sums.map((sum) => sum.data()))) as Float32Array[]
      return statistics(low, high, squares, this.#tokens)
    } finally {
      tf.dispose(sums)
    }
  }

  dispose(): void {
    tf.dispose(this.#sums)
    this.#sums = []
  }
}

function statistics(low: Float32Array, high: Float32Array, squares: Float32Array, tokens: number): InputStatistics {
  const rms = squares.map((sum) => Math.sqrt(sum / tokens))
  const order = Int32Array.from(rms.keys()).sort((a, b) => rms[b] - rms[a] || a - b)
  return {
    tokens,
    channels: rms.length,
    min: low.reduce((least, value) => Math.min(least, value)),
    max: high.reduce((most, value) => Math.max(most, value)),
    medianRms: rms[order[order.length >> 1]],
    largest: Array.from(order.subarray(0, NAMED), (channel) => ({ channel, rms: rms[channel] })),
  }
}
