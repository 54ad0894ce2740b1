import * as tf from '@tensorflow/tfjs-core'

/** What tfjs-node's backend offers beyond tfjs's: TensorFlow's own kernels by name. */
interface TensorflowBackend {
  binding: Record<string, number>
  executeSingleOutput(name: string, attributes: { name: string; type: number; value: number | boolean }[], inputs: tf.Tensor[]): tf.Tensor
}

/** One of TensorFlow's kernels on float32 tensors, on the TensorFlow backend. */
export function tensorflowKernel(kernel: string, flags: Record<string, boolean>, inputs: tf.Tensor[]): tf.Tensor {
  const backend = tf.backend() as unknown as TensorflowBackend
  const { TF_ATTR_TYPE, TF_FLOAT, TF_ATTR_BOOL } = backend.binding
  const attributes: { name: string; type: number; value: number | boolean }[] = [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }]
  for (const [name, value] of Object.entries(flags)) attributes.push({ name, type: TF_ATTR_BOOL, value })
  return backend.executeSingleOutput(kernel, attributes, inputs)
}
