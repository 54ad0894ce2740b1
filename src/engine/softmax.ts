import * as tf from '@tensorflow/tfjs-core'
import { oneDnnKernel } from './onednn-kernel.ts'

/**
 * Softmax over the last axis. On the TensorFlow backend by oneDNN, where TensorFlow has it: 4608 rows of 512 take 0.7 ms on two cores, its own
 * kernel 1.9.
 */
export function softmax(x: tf.Tensor): tf.Tensor {
  // Without the label the kernel is not found.
  const kernel = oneDnnKernel('_MklSoftmax', 'MklNameChangeOp')
  if (!kernel) return tf.softmax(x)
  return tf.tidy(() => tf.reshape(kernel(tf.reshape(x, [-1, x.shape[x.rank - 1]])), x.shape))
}
