import type { FromSchema } from 'json-schema-to-ts'

const PATTERNS = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] } as const

/** One tensor's quantization: the fields of compressed-tensors' QuantizationArgs. `resolveArgs` checks what depends on each other. */
const ARGS = {
  type: ['object', 'null'],
  properties: {
    num_bits: { type: 'integer', description: 'Bits per value: 2 to 8 for int, 8 for float.' },
    type: { type: 'string', description: 'int or float.' },
    strategy: {
      type: ['string', 'null'],
      description: 'What shares a scale: tensor, channel (a row), group, block; token for activations.',
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
    dynamic: { type: ['boolean', 'string'], description: 'true: activations get their scales at run time.' },
    actorder: {
      type: ['string', 'boolean', 'null'],
      description: 'GPTQ: static (also called weight) takes the most important columns first.',
    },
    scale_dtype: { type: ['string', 'null'], description: 'Only null: scales are stored in the type of the weights.' },
    zp_dtype: { type: ['string', 'null'], description: 'Only torch.int8 or null.' },
    observer: { type: ['string', 'null'], description: 'How ranges are found: memoryless_minmax.' },
    observer_kwargs: { type: 'object', description: 'Settings of the observer; minmax has none.' },
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
  kv_cache_scheme: { type: ['object', 'null'], description: 'Only null: a quantized KV cache is not available in this version.' },
  weight_observer: { type: ['string', 'null'], description: 'How ranges of weights are found: memoryless_minmax.' },
  input_observer: { type: ['string', 'null'], description: 'Only null: dynamic activations are not observed.' },
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
