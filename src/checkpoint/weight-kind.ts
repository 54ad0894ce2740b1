import type { QuantizationScheme } from './quantization-config.ts'

/** What decides the default format of a scheme. */
export type WeightKind = 'int' | 'float8' | 'nvfp4' | 'mxfp4' | 'mxfp8'

/**
 * The kind of a scheme's weights (compressed-tensors' `infer_module_format`): `int` for 1 to 8 bit integers, `float8` for E4M3 with float
 * scales, 4-bit floats by their group size (16 NVFP4, 32 MXFP4), `mxfp8` for E4M3 in groups of 32 under bytes; null for what no layout here
 * stores.
 */
export function weightKind({ weights }: QuantizationScheme): WeightKind | null {
  if (weights === null) return null
  const { type, num_bits: bits, group_size: size, scale_dtype: scales } = weights
  if (type === 'int') return bits >= 1 && bits <= 8 ? 'int' : null
  if (bits === 4) return size === 32 ? 'mxfp4' : size === 16 ? 'nvfp4' : null
  if (bits !== 8) return null
  if (scales === null) return 'float8'
  return size === 32 && /uint8/.test(scales) ? 'mxfp8' : null
}
