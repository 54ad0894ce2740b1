import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { sumRows } from '../../engine/sum-rows.ts'
import { RunError } from '../../util/errors.ts'
import type { Stage } from '../modifier.ts'

/** Smallest and largest value of every input channel of a stage over all calibration tokens, each [columns]. */
export interface ChannelRanges {
  readonly low: Float32Array
  readonly high: Float32Array
}

/** Errors: RunError when an input is not finite, naming the stage and the channel. */
export async function measureRanges(stage: Stage): Promise<ChannelRanges> {
  const [low, high] = await measured(stage, (x) => [tf.min<Tensor1D>(x, 0), tf.max<Tensor1D>(x, 0), sumRows(x)], [
    tf.minimum,
    tf.maximum,
    tf.add,
  ])
  return { low, high }
}

/** Mean |x| of every input channel of a stage over all calibration tokens, [columns]. Errors: as `measureRanges`. */
export async function measureMagnitudes(stage: Stage): Promise<Float32Array> {
  let tokens = 0
  const magnitudes = (x: Tensor2D) => {
    tokens += x.shape[0]
    return [sumRows(tf.abs(x))]
  }
  const [sum] = await measured(stage, magnitudes, [tf.add])
  return sum.map((value) => value / tokens)
}

/** Mean x² of every input channel of a stage over all calibration tokens, [columns]. Errors: as `measureRanges`. */
export async function measureSquares(stage: Stage): Promise<Float32Array> {
  let tokens = 0
  const squares = (x: Tensor2D) => {
    tokens += x.shape[0]
    return [sumRows(tf.square(x)), sumRows(x)]
  }
  const [sum] = await measured(stage, squares, [tf.add, tf.add])
  return sum.map((value) => value / tokens)
}

/**
 * Statistics of the channels, batch by batch: `found` of each, joined by `join`. The last one is a sum, which shows every NaN and infinity;
 * comparisons may pass over them.
 */
async function measured(
  stage: Stage,
  found: (x: Tensor2D) => Tensor1D[],
  join: readonly ((a: Tensor1D, b: Tensor1D) => Tensor1D)[],
): Promise<Float32Array[]> {
  let parts: Tensor1D[] = []
  try {
    await stage.eachInput((x) => {
      const before = parts
      parts = tf.tidy(() => {
        const own = found(x)
        return before.length === 0 ? own : own.map((part, i) => join[i](before[i], part))
      })
      tf.dispose(before)
    })
    if (parts.length === 0) throw new RangeError(`Cannot measure ${stage.name}: no calibration rows, expected at least one`)
    const values = await Promise.all(parts.map((part) => part.data<'float32'>()))
    const sums = values[values.length - 1]
    const broken = sums.findIndex((sum) => !Number.isFinite(sum))
    if (broken >= 0)
      throw new RunError(`Cannot calibrate ${stage.name}: input channel ${broken} is not finite, expected finite activations.`)
    return values
  } finally {
    tf.dispose(parts)
  }
}
