import * as tf from '@tensorflow/tfjs-core'
import { tensorflowKernel } from './tensorflow-kernel.ts'

type Kernel = (x: tf.Tensor) => tf.Tensor

const known = new Map<string, Kernel | null>()

/**
 * A kernel of one float32 tensor that TensorFlow makes of oneDNN's, under the label that it is registered with; null where it cannot be asked
 * for: on other backends, on a GPU, and where TensorFlow was built or started without oneDNN.
 */
export function oneDnnKernel(name: string, label: string): Kernel | null {
  if (tf.getBackend() !== 'tensorflow') return null
  let kernel = known.get(name)
  if (kernel === undefined) {
    const run: Kernel = (x) => tensorflowKernel(name, { _kernel: label }, [x])
    kernel = !(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice && works(run) ? run : null
    known.set(name, kernel)
  }
  return kernel
}

function works(kernel: Kernel): boolean {
  try {
    tf.dispose(tf.tidy(() => kernel(tf.zeros([1, 1]))))
    return true
  } catch {
    return false
  }
}
