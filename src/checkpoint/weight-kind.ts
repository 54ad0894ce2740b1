import type { QuantizationScheme } from './quantization-config.ts'

/**
 * What decides the default format of a scheme (compressed-tensors' `infer_module_format`): `int` for 1 to 8 bit integers, `float8` for E4M3
 * with float scales, null for what no layout here stores (4-bit floats, microscaling with its one-byte scales, no weights).
 */
export function weightKind({ weights }: QuantizationScheme): 'int' | 'float8' | null {
  if (weights?.type === 'int') return weights.num_bits >= 1 && weights.num_bits <= 8 ? 'int' : null
  const scalesAreFloats = !/uint8|float8/.test(weights?.scale_dtype ?? '')
  return weights?.num_bits === 8 && scalesAreFloats ? 'float8' : null
}
