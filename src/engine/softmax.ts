import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { toBfloat16, toFloat32 } from './bfloat16.ts'
import { reshape } from './either-ops.ts'
import { oneDnnKernel } from './onednn-kernel.ts'

/**
 * Softmax over the last axis, of float32 or bfloat16. On the TensorFlow backend by oneDNN, where TensorFlow has it: 4608 rows of 512 take 0.7 ms
 * on two cores, its own kernel 1.9.
 */
export function softmax<T extends Tensor>(x: T): T {
  // Without the label the kernel is not found.
  const kernel = oneDnnKernel('_MklSoftmax', 'MklNameChangeOp', x)
  return tf.tidy(() => {
    if (kernel) return reshape<T>(kernel(reshape(x, [-1, x.shape[x.rank - 1]])), x.shape)
    const wide = toFloat32(x)
    return wide === x ? tf.softmax(wide) : toBfloat16(tf.softmax(wide))
  })
}
