const nullable = (type: string) => ({ type, nullable: true, default: null })

const args = {
  type: 'object',
  properties: {
    num_bits: { type: 'integer', minimum: 1, maximum: 32, default: 8 },
    type: { enum: ['int', 'float'], default: 'int' },
    strategy: { enum: ['tensor', 'channel', 'group', 'block', 'token', 'tensor_group', 'attn_head'] },
    group_size: { ...nullable('integer'), minimum: 1 },
    block_structure: { ...nullable('array'), items: { type: 'integer', minimum: 1 }, minItems: 2, maxItems: 2 },
    symmetric: { type: 'boolean', default: true },
    dynamic: { enum: [true, false, 'local'], default: false },
    actorder: { enum: ['static', 'weight', 'group', null], default: null },
    scale_dtype: nullable('string'),
    zp_dtype: nullable('string'),
    observer: nullable('string'),
    observer_kwargs: { type: 'object', default: {} },
  },
  required: ['strategy'],
  additionalProperties: false,
  allOf: [
    {
      if: { properties: { strategy: { enum: ['group', 'tensor_group'] } } },
      // biome-ignore lint/suspicious/noThenProperty: a key of JSON Schema
      then: { required: ['group_size'], properties: { group_size: { type: 'integer' } } },
    },
    {
      if: { properties: { strategy: { const: 'block' } } },
      // biome-ignore lint/suspicious/noThenProperty: a key of JSON Schema
      then: { required: ['block_structure'], properties: { block_structure: { type: 'array' } } },
    },
  ],
}

const optionalArgs = { ...args, nullable: true, default: null }

/**
 * JSON schema of `quantization_config` with the defaults of compressed-tensors 0.19 (quantization/quant_args.py, quant_scheme.py,
 * quant_config.py). It expects null keys to be removed and strategies to be filled in, as `parseQuantizationConfig` does.
 */
export const QUANTIZATION_CONFIG_SCHEMA = {
  type: 'object',
  properties: {
    quant_method: { const: 'compressed-tensors', default: 'compressed-tensors' },
    format: { type: 'string', default: 'fakequant' },
    quantization_status: { type: 'string', default: 'compressed' },
    config_groups: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: {
          targets: { type: 'array', items: { type: 'string' } },
          weights: optionalArgs,
          input_activations: optionalArgs,
          output_activations: optionalArgs,
          format: nullable('string'),
        },
        required: ['targets'],
        additionalProperties: false,
      },
    },
    ignore: { type: 'array', items: { type: 'string' }, default: [] },
    kv_cache_scheme: optionalArgs,
  },
  required: ['config_groups'],
  additionalProperties: true,
}
