import type { Tensor1D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { RunError } from '../../util/errors.ts'
import type { Stage } from '../modifier.ts'

/** What the input channels of a stage hold over all calibration tokens, each [columns]. */
export interface ChannelStatistics {
  readonly low: Float32Array
  readonly high: Float32Array
  readonly meanMagnitude: Float32Array
  readonly meanSquare: Float32Array
}

/**
 * Smallest and largest value, mean |x| and mean x² of every input channel of a stage.
 * Errors: RunError when an input is not finite, naming the stage and the channel.
 */
export async function measureChannels(stage: Stage): Promise<ChannelStatistics> {
  let sums: Tensor1D[] = []
  let tokens = 0
  try {
    await stage.eachInput((x) => {
      tokens += x.shape[0]
      const before = sums
      sums = tf.tidy(() => {
        const found = [tf.min<Tensor1D>(x, 0), tf.max<Tensor1D>(x, 0), tf.sum<Tensor1D>(tf.abs(x), 0), tf.sum<Tensor1D>(tf.square(x), 0)]
        if (before.length === 0) return found
        return [
          tf.minimum(before[0], found[0]),
          tf.maximum(before[1], found[1]),
          tf.add<Tensor1D>(before[2], found[2]),
          tf.add<Tensor1D>(before[3], found[3]),
        ]
      })
      tf.dispose(before)
    })
    if (tokens === 0) throw new RangeError(`Cannot measure ${stage.name}: no calibration rows, expected at least one`)
    const [low, high, magnitude, square] = (await Promise.all(sums.map((sum) => sum.data()))) as Float32Array[]
    // A sum shows every NaN and infinity; comparisons may pass over them.
    const broken = magnitude.findIndex((sum) => !Number.isFinite(sum))
    if (broken >= 0) {
      const found = Number.isNaN(magnitude[broken]) ? 'not a number' : 'infinite'
      throw new RunError(`Cannot calibrate ${stage.name}: input channel ${broken} is ${found}, expected finite activations.`)
    }
    return { low, high, meanMagnitude: magnitude.map((sum) => sum / tokens), meanSquare: square.map((sum) => sum / tokens) }
  } finally {
    tf.dispose(sums)
  }
}
