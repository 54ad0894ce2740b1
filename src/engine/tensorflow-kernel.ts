import * as tf from '@tensorflow/tfjs-core'

/** What tfjs-node's backend offers beyond tfjs's: TensorFlow's own kernels by name. */
interface TensorflowBackend {
  binding: Record<string, number>
  executeSingleOutput(name: string, attributes: Attribute[], inputs: tf.Tensor[]): tf.Tensor
}

interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | boolean | string
}

/** One of TensorFlow's kernels on float32 tensors, on the TensorFlow backend, with its attributes. */
export function tensorflowKernel(kernel: string, settings: Record<string, boolean | string>, inputs: tf.Tensor[]): tf.Tensor {
  const backend = tf.backend() as unknown as TensorflowBackend
  const { TF_ATTR_TYPE, TF_FLOAT, TF_ATTR_BOOL, TF_ATTR_STRING } = backend.binding
  const attributes: Attribute[] = [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }]
  for (const [name, value] of Object.entries(settings))
    attributes.push({ name, type: typeof value === 'boolean' ? TF_ATTR_BOOL : TF_ATTR_STRING, value })
  return backend.executeSingleOutput(kernel, attributes, inputs)
}
