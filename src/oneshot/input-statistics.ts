import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { toFloat32 } from '../engine/bfloat16.ts'
import { sumRows } from '../engine/sum-rows.ts'
import type { InputStatistics } from '../report/statistics.ts'

/** Channels that are named, largest first. */
const NAMED = 10

/** Tokens that are looked at: outlier channels are the same in all, and 16384 would take 4 % of a run of GPTQ. */
const ENOUGH = 4096

/** Sums over the inputs of a stage, batch by batch, on the engine. It owns them until they are taken or disposed of. */
export class InputSums {
  /** Smallest and largest value, sums of squares by channel. */
  #sums: Tensor[] = []
  #tokens = 0

  /** Takes in [tokens, channels] of float32 or bfloat16, if there are not enough yet; nothing is read from the engine. */
  add(input: Tensor2D): void {
    if (this.#tokens >= ENOUGH) return
    const before = this.#sums
    this.#sums = tf.tidy(() => {
      const x = toFloat32(input)
      const own = [tf.min(x), tf.max(x), sumRows(tf.square(x))]
      if (before.length === 0) return own
      const [low, high, sum] = before
      return [tf.minimum(low, own[0]), tf.maximum(high, own[1]), tf.add(sum, own[2])]
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
      const [[min], [max], powers] = (await Promise.all(sums.map((sum) => sum.data()))) as Float32Array[]
      return statistics(min, max, powers, this.#tokens)
    } finally {
      tf.dispose(sums)
    }
  }

  dispose(): void {
    tf.dispose(this.#sums)
    this.#sums = []
  }
}

function statistics(min: number, max: number, squares: Float32Array, tokens: number): InputStatistics {
  const rms = squares.map((sum) => Math.sqrt(sum / tokens))
  const order = Int32Array.from(rms.keys()).sort((a, b) => rms[b] - rms[a] || a - b)
  return {
    tokens,
    channels: rms.length,
    min,
    max,
    medianRms: rms[order[order.length >> 1]],
    largest: Array.from(order.subarray(0, NAMED), (channel) => ({ channel, rms: rms[channel] })),
  }
}
