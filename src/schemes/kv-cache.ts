import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { type PartialArgs, resolveArgs } from './args.ts'
import { SchemeError, under } from './scheme-error.ts'

/**
 * How the key-value cache is quantized, by what compressed-tensors stores and vLLM reads: 8-bit floats with stored symmetric scales, one
 * for the tensor or one for each head. Errors: SchemeError whose path leads from the modifier's options to the key.
 */
export function resolveKvCacheScheme(partial: PartialArgs): QuantizationArgs {
  return under(['kv_cache_scheme'], () => {
    const { type = 'int', num_bits: bits = 8 } = partial
    if (String(type).toLowerCase() !== 'float') {
      throw new SchemeError(`Cannot use type: found ${JSON.stringify(type)}, expected float: vLLM has 8-bit float caches only`, ['type'])
    }
    if (bits !== 8) throw new SchemeError(`Cannot use num_bits: found ${bits}, expected 8: vLLM has 8-bit float caches only`, ['num_bits'])
    return resolveArgs(partial, 'kv_cache_scheme')
  })
}
