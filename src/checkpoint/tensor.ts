import type { DType } from '../numerics/dtype.ts'

/** Name, type and shape of one stored tensor. */
export interface TensorInfo {
  name: string
  dtype: DType
  shape: readonly number[]
}

/** A tensor with its bytes as stored, little endian, row major. */
export interface TensorData extends TensorInfo {
  bytes: Uint8Array
}
