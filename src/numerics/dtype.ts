/** The element types of the safetensors format and their size in bytes. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const

export type DType = keyof typeof DTYPE_BYTES

/** The floating point types that weights and scales are stored in. */
export type FloatDType = 'F32' | 'F16' | 'BF16'

/**
 * What scales are stored as: floats, E4M3 (NVFP4, under a global scale), or powers of two (MX), whose E8M0 exponents compressed-tensors
 * stores as plain bytes.
 */
export type ScaleDType = FloatDType | 'F8_E4M3' | 'U8'

/** Number of elements of a shape; a scalar (empty shape) has one. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}
