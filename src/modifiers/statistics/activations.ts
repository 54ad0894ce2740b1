import type { Tensor1D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { sumRows } from '../../engine/sum-rows.ts'
import { RunError } from '../../util/errors.ts'
import type { Stage } from '../modifier.ts'

/** What the inputs of a stage are like over all calibration tokens and channels. */
export interface ActivationStatistics {
  readonly mean: number
  /** Of the population. */
  readonly std: number
  readonly min: number
  readonly max: number
}

/**
 * Mean, standard deviation and range of all inputs of a stage, in one pass: sums of channels on the engine, of these in float64, so that they
 * depend little on how rows are put into batches. Errors: RunError when an input is not finite, naming the stage.
 */
export async function measureActivations(stage: Stage): Promise<ActivationStatistics> {
  const parts: { tokens: number; tensors: Tensor1D[] }[] = []
  try {
    await stage.eachInput((x) => {
      const tensors = tf.tidy(() => [sumRows(x), sumRows(tf.square(x)), tf.min<Tensor1D>(x, 0), tf.max<Tensor1D>(x, 0)])
      parts.push({ tokens: x.shape[0], tensors })
    })
    let [count, sum, squares, min, max] = [0, 0, 0, Infinity, -Infinity]
    for (const { tokens, tensors } of parts) {
      const [sums, square, low, high] = await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()))
      count += tokens * sums.length
      for (let j = 0; j < sums.length; j++) {
        sum += sums[j]
        squares += square[j]
        min = Math.min(min, low[j])
        max = Math.max(max, high[j])
      }
    }
    if (count === 0) throw new RangeError(`Cannot measure ${stage.name}: no calibration rows, expected at least one`)
    if (!Number.isFinite(sum) || !Number.isFinite(squares))
      throw new RunError(`Cannot calibrate ${stage.name}: its inputs sum up to ${sum}, expected finite activations.`)
    const mean = sum / count
    return { mean, std: Math.sqrt(Math.max(0, squares / count - mean * mean)), min, max }
  } finally {
    tf.dispose(parts.map(({ tensors }) => tensors))
  }
}
