import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'

/**
 * x with the halves of its last axis, of even length, exchanged. By one reversal: on TensorFlow a third of the time of two slices and a concat. The
 * wasm backend reverses element by element: 18432 rows of 64 take 26 ms, two slices and a concat 3.1.
 */
export function exchangeHalves<T extends Tensor>(x: T): T {
  const columns = x.shape[x.rank - 1]
  const half = columns / 2
  return tf.tidy(() => {
    if (tf.getBackend() !== 'wasm') return tf.reshape(tf.reverse(tf.reshape(x, [-1, 2, half]), 1), x.shape)
    const rows = tf.reshape(x, [-1, columns])
    const [left, right] = [0, half].map((from) => tf.slice(rows, [0, from], [rows.shape[0], half]))
    return tf.reshape(tf.concat([right, left], 1), x.shape)
  }) as T
}
