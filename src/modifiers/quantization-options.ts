import type { FromSchema } from 'json-schema-to-ts'

/** Patterns over module names: one or a list. */
export const PATTERNS = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] } as const

/** One tensor's quantization: the fields of compressed-tensors' QuantizationArgs. `resolveArgs` checks what depends on each other. */
const ARGS = {
  type: ['object', 'null'],
  properties: {
    num_bits: { type: 'integer', description: 'Bits per value: 2 to 8 for int (4 or 8 for activations), 4 or 8 for float.' },
    type: { type: 'string', description: 'int or float.' },
    strategy: {
      type: ['string', 'null'],
      description:
        'What shares a scale: tensor, channel (a row), group, block, tensor_group (NVFP4); token for activations, attn_head for the cache.',
    },
    group_size: {
      anyOf: [{ const: 'auto' }, { type: 'integer', minimum: -1 }, { type: 'null' }],
      description: 'Columns that share a scale; -1 is one scale per row; auto takes the largest of 128, 64, 32 that fits the model.',
    },
    block_structure: {
      anyOf: [{ type: 'array', items: { type: 'integer', minimum: 1 }, minItems: 2, maxItems: 2 }, { type: 'string' }, { type: 'null' }],
      description: '[rows, columns] of a block.',
    },
    symmetric: { type: 'boolean', description: 'false: with zero points.' },
    dynamic: {
      type: ['boolean', 'string'],
      description: 'true: activations get their scales at run time; local: those of groups, under a stored one (NVFP4).',
    },
    actorder: {
      type: ['string', 'boolean', 'null'],
      description: 'GPTQ: static (also called weight) takes the most important columns first.',
    },
    scale_dtype: {
      type: ['string', 'null'],
      description: 'What scales are stored as: torch.float8_e4m3fn (NVFP4), torch.uint8 (MX); null: the type of the weights.',
    },
    zp_dtype: {
      type: ['string', 'null'],
      description: 'What zero points are stored as: torch.int8 or null; without effect for symmetric types.',
    },
    observer: {
      type: ['string', 'null'],
      description:
        'How ranges are found. Weights: memoryless_minmax, mse, imatrix_mse (weighed by the inputs), nvfp4_expanded_mse, nvfp4_expanded_imatrix. Activations: static_minmax, minmax (moving average), memoryless_minmax.',
    },
    observer_kwargs: {
      type: 'object',
      description:
        'Settings of the observer: maxshrink, grid, norm, expand of the searches, strict of imatrix_mse, averaging_constant of minmax.',
    },
  },
  additionalProperties: false,
} as const

const GROUP = {
  anyOf: [
    {
      type: 'object',
      properties: {
        targets: PATTERNS,
        weights: ARGS,
        input_activations: ARGS,
        output_activations: ARGS,
        format: { type: ['string', 'null'], description: 'On-disk format; null takes the one that servers expect.' },
      },
      required: ['targets'],
      additionalProperties: false,
    },
    { type: 'array', items: { type: 'string' } },
  ],
} as const

/**
 * The options that all quantizing modifiers share, as JSON schema properties: spread them into a modifier's own schema. They are
 * llm-compressor's `QuantizationMixin` and one of our own, `group_size`. `resolveSchemes` reads them.
 */
export const quantizationOptions = {
  targets: {
    ...PATTERNS,
    default: ['Linear'],
    description: 'Modules to quantize: full names, `re:` patterns (matched from the start of the name), or classes (Linear, Embedding).',
  },
  ignore: { ...PATTERNS, default: [], description: 'Modules to leave alone, written like targets.' },
  scheme: {
    anyOf: [{ type: 'string' }, { type: 'object', additionalProperties: PATTERNS }, { type: 'null' }],
    description: 'A preset such as W4A16, W8A8 or FP8_DYNAMIC, or a mapping of presets to their targets.',
  },
  config_groups: {
    type: ['object', 'null'],
    additionalProperties: GROUP,
    description: 'Schemes in full, by name of your choice; instead of scheme.',
  },
  group_size: {
    anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1 }, { const: -1 }, { type: 'null' }],
    description:
      'Replaces the group size of the preset (128). auto takes the largest of 128, 64, 32 that fits the model; -1 is one scale per row. Not in llm-compressor.',
  },
  kv_cache_scheme: { ...ARGS, description: 'How the key-value cache is quantized: 8-bit floats, strategy tensor or attn_head.' },
  weight_observer: { type: ['string', 'null'], description: 'Replaces the observer of all weights: memoryless_minmax, mse, imatrix_mse.' },
  input_observer: {
    type: ['string', 'null'],
    description: 'Replaces the observer of inputs with stored scales: static_minmax, minmax, memoryless_minmax.',
  },
  output_observer: { type: ['string', 'null'], description: 'Only null: outputs are not quantized.' },
  observer: {
    type: ['object', 'null'],
    properties: { weights: { type: 'string' }, input: { type: 'string' }, output: { type: 'string' } },
    additionalProperties: false,
    description: 'The observers in one mapping: weights, input, output.',
  },
  bypass_divisibility_checks: {
    type: 'boolean',
    default: false,
    description:
      'Accepted for llm-compressor recipes. A group size that does not divide the columns cannot be stored and is an error either way.',
  },
  requires_calibration_data: {
    type: 'boolean',
    description:
      'Accepted because llm-compressor writes it into its recipe.yaml. Whether calibration data is needed follows from modifier and scheme.',
  },
} as const

const SCHEMA = { type: 'object', properties: quantizationOptions, additionalProperties: false } as const

/** The options of `quantizationOptions` once validated, with defaults filled in. */
export type QuantizationOptions = FromSchema<typeof SCHEMA>
