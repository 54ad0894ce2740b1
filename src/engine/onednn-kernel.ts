import * as tf from '@tensorflow/tfjs-core'
import { bfloat16Kernel, bfloat16Settings, isBfloat16, toBfloat16 } from './bfloat16.ts'
import { tensorflowKernel } from './tensorflow-kernel.ts'

type Kernel = (x: tf.Tensor) => tf.Tensor

const known = new Map<string, Kernel | null>()

/**
 * A kernel of one tensor that TensorFlow makes of oneDNN's, for x and others of its type (float32 or bfloat16), under the label that it is
 * registered with; null where it cannot be asked for: on other backends, on a GPU, and where TensorFlow was built or started without oneDNN.
 */
export function oneDnnKernel(name: string, label: string, x: tf.Tensor): Kernel | null {
  if (tf.getBackend() !== 'tensorflow') return null
  const rounded = isBfloat16(x)
  const key = rounded ? `${name} of bfloat16` : name
  let kernel = known.get(key)
  if (kernel === undefined) {
    const settings = { _kernel: label }
    const run: Kernel = rounded
      ? (own) => bfloat16Kernel(name, bfloat16Settings(settings), [own])
      : (own) => tensorflowKernel(name, settings, [own])
    const isOnCpu = !(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice
    kernel = isOnCpu && works(() => run(rounded ? toBfloat16(tf.zeros([1, 1])) : tf.zeros([1, 1]))) ? run : null
    known.set(key, kernel)
  }
  return kernel
}

function works(kernel: () => tf.Tensor): boolean {
  try {
    tf.dispose(tf.tidy(kernel))
    return true
  } catch {
    return false
  }
}
