import type { KernelBackend, Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { becomesFloat32 } from './bfloat16.ts'

/**
 * Frees the memory of a tensor, of float32 or bfloat16, and of all that share it; the tensors stay as they are otherwise, and may be disposed of. Nothing
 * may be computed with them until `restoreMemory`.
 */
export function releaseMemory(tensor: Tensor): void {
  replaceValues(tensor, new Float32Array(0), [0])
}

/** Gives a tensor, and all that share its memory, the values that it had before `releaseMemory`, in float32; the array passes into its hands. */
export function restoreMemory(tensor: Tensor, values: Float32Array): void {
  replaceValues(tensor, values, tensor.shape)
}

/**
 * What tensors share is named by their data id. The backend forgets what it keeps under it and takes other values under the same name and
 * with the same number of owners: with none at all it would lose count of them.
 */
function replaceValues(tensor: Tensor, values: Float32Array, shape: number[]): void {
  const { dataId, dtype } = tensor
  const backend = tf.backend() as KernelBackend & { flush?(): void }
  // What waits in a GPU's queue would be disposed of later, under its name: the new values with it.
  backend.flush?.()
  const owners = backend.refCount(dataId)
  backend.disposeData(dataId, true)
  backend.move(dataId, values, shape, dtype, owners)
  becomesFloat32(tensor)
}
