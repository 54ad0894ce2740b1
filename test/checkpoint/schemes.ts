import type { QuantizationArgs, QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'

/** Arguments with the defaults of compressed-tensors for whatever is not given: int8, one symmetric scale for the tensor. */
export function args(parts: Partial<QuantizationArgs>): QuantizationArgs {
  return {
    num_bits: 8,
    type: 'int',
    strategy: 'tensor',
    group_size: null,
    block_structure: null,
    symmetric: true,
    dynamic: false,
    actorder: null,
    scale_dtype: null,
    zp_dtype: null,
    observer: null,
    observer_kwargs: {},
    ...parts,
  }
}

/** A scheme for all linears with nothing quantized but what is given. */
export function scheme(parts: Partial<QuantizationScheme>): QuantizationScheme {
  return { targets: ['Linear'], weights: null, input_activations: null, output_activations: null, format: null, ...parts }
}
