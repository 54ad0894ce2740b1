import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'

/**
 * Integers or booleans as float32. On webgpu a cast alone gives a tensor that says it is float and lies in the integers' buffer, and what
 * transposes it (sums over other axes than the last do) is refused by the device; a product writes floats.
 */
export function asFloats<T extends Tensor>(x: T): T {
  return tf.tidy(() => tf.mul<T>(tf.cast(x, 'float32'), 1))
}
