import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from './mat-mul.ts'

/**
 * The sum of the rows of x [rows, columns]: [columns]. The wasm backend would transpose x first: 2048 rows of 1536 take 26 ms, a product with
 * ones 1.8.
 */
export function sumRows(x: Tensor2D): Tensor1D {
  if (tf.getBackend() !== 'wasm') return tf.sum(x, 0)
  return tf.tidy(() => tf.reshape(matMul(tf.ones([1, x.shape[0]]), x), [x.shape[1]]))
}
