import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from './mat-mul.ts'

/**
 * x with the halves of its last axis exchanged. By one reversal: on TensorFlow a third of the time of two slices and a concat. The wasm backend
 * reverses element by element: 18432 rows of 64 take 26 ms, two slices and a concat 3.1, a product with a permutation 1.9.
 */
export function exchangeHalves<T extends Tensor>(x: T): T {
  const columns = x.shape[x.rank - 1]
  const half = columns / 2
  return tf.tidy(() => {
    if (tf.getBackend() === 'wasm') {
      const exchange = new Float32Array(columns * columns)
      for (let i = 0; i < columns; i++) exchange[i * columns + ((i + half) % columns)] = 1
      return tf.reshape(matMul(tf.reshape(x, [-1, columns]), tf.tensor2d(exchange, [columns, columns])), x.shape)
    }
    return tf.reshape(tf.reverse(tf.reshape(x, [-1, 2, half]), 1), x.shape)
  }) as T
}
