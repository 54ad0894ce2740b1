import type { FromSchema } from 'json-schema-to-ts'
import { COMPUTE_DTYPES, QUANT_STORAGES } from '../checkpoint/bitsandbytes-args.ts'
import { BITSANDBYTES_DEFAULTS, bitsandbytesScheme } from '../checkpoint/parse-bitsandbytes-config.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { quantizeFourBit, quantizeLlmInt8 } from '../schemes/bitsandbytes.ts'
import { assertFinite, dequantize, relativeError } from '../schemes/quantize.ts'
import { patterns } from '../schemes/resolve.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { SchemeError } from '../schemes/scheme-error.ts'
import { pythonPattern } from '../util/python-pattern.ts'
import type { Linear, ModifierDefinition } from './modifier.ts'
import { PATTERNS } from './quantization-options.ts'

/** transformers writes types with and without torch's name before them. */
function named(names: readonly string[]) {
  return [...names, ...names.map((name) => `torch.${name}`)]
}

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    load_in_8bit: { type: 'boolean', default: false, description: 'LLM.int8: 8-bit weights, and inputs but for columns with outliers.' },
    load_in_4bit: { type: 'boolean', default: false, description: '4-bit weights in blocks of 64, of the type bnb_4bit_quant_type.' },
    bnb_4bit_quant_type: {
      enum: ['nf4', 'fp4'],
      default: 'fp4',
      description: 'nf4: 16 quantiles of the normal distribution; fp4: a small float.',
    },
    bnb_4bit_use_double_quant: {
      type: 'boolean',
      default: false,
      description: 'Quantizes the scales too, which takes 0.37 bits less a weight.',
    },
    bnb_4bit_compute_dtype: {
      enum: named(COMPUTE_DTYPES),
      default: 'float32',
      description: 'What loaders multiply in; stands in config.json and changes no weight.',
    },
    bnb_4bit_quant_storage: {
      enum: named(QUANT_STORAGES),
      default: 'uint8',
      description: 'The type that packed codes are said to be of, which FSDP wants to be that of the other weights.',
    },
    llm_int8_threshold: {
      type: 'number',
      minimum: 0,
      default: 6,
      description: 'LLM.int8: columns of inputs with a magnitude of this or more are multiplied in 16 bits; 0: none are.',
    },
    llm_int8_skip_modules: {
      anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }],
      default: null,
      description: 'Modules to leave alone, by the beginning or the end of their names; null: the output projection.',
    },
    llm_int8_has_fp16_weight: {
      type: 'boolean',
      default: false,
      description: 'Only false: true keeps the weights in 16 bits, for training.',
    },
    llm_int8_enable_fp32_cpu_offload: { type: 'boolean', default: false, description: 'Stands in config.json and changes no weight.' },
    targets: { ...PATTERNS, default: ['Linear'], description: 'Linears to quantize: names, patterns (re:...) or Linear.' },
    ignore: { ...PATTERNS, default: [], description: 'Linears to leave alone, beside those of llm_int8_skip_modules.' },
  },
} as const

type Options = FromSchema<typeof schema>

/**
 * The types of bitsandbytes: LLM.int8 (Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale") and NF4 and FP4 with or without
 * double quantization (Dettmers et al., "QLoRA"). Options are those of transformers' BitsAndBytesConfig; codes and scales are, to the byte, what
 * transformers saves with it. The run is written as a bitsandbytes checkpoint.
 */
export const modifier: ModifierDefinition<Options> = {
  names: ['BitsAndBytesModifier', 'bitsandbytes'],
  description: 'Rounds weights to the types of bitsandbytes, NF4, FP4 or LLM.int8, and writes a checkpoint in its format; needs no data.',
  schema,
  quantizes: true,
  format: 'bitsandbytes',
  needs: () => 'weights',
  // Single experts are looked for in one tensor by transformers 5, and those stored in one are no linears to it.
  leaves: (name) =>
    /\.experts\.\d+\./.test(name) ? 'transformers has all experts of a layer in one tensor, which bitsandbytes does not quantize' : null,
  schemes: (options) => {
    requireOneType(options)
    const { targets = 'Linear', ignore, llm_int8_skip_modules: skip } = options
    skip?.forEach(requirePattern)
    const skipped = skip?.map(skipPattern) ?? ['lm_head']
    // A scheme that can be said in a recipe, until `completes` gives the real one.
    const weights = { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel' }
    return { ignore: [...new Set([...patterns(ignore), ...skipped])], config_groups: { group_0: { targets, weights } } }
  },
  completes: (options, { targets }) => ({ ...schemeOf(options), targets }),
  create: () => ({
    async apply(_, targets) {
      for (const [linear, scheme] of targets) quantize(linear, scheme)
    },
  }),
}

/** Errors: SchemeError unless weights are to be in exactly one type, and kept in it. */
function requireOneType({ load_in_8bit: in8, load_in_4bit: in4, llm_int8_has_fp16_weight: kept }: Options): void {
  if (Boolean(in8) === Boolean(in4)) {
    const found = in8 ? 'both' : 'neither load_in_8bit nor load_in_4bit'
    throw new SchemeError(
      `Cannot use BitsAndBytesModifier: found ${found}, expected one of load_in_8bit and load_in_4bit to be true`,
      [in8 ? 'load_in_4bit' : ''].filter(Boolean),
    )
  }
  if (!kept) return
  throw new SchemeError(
    'Cannot use llm_int8_has_fp16_weight: found true, expected false: it keeps the weights in 16 bits and quantizes them at each step, for training, so that nothing would be compressed',
    ['llm_int8_has_fp16_weight'],
  )
}

function schemeOf(options: Options): Omit<QuantizationScheme, 'targets'> {
  const { load_in_8bit: in8, bnb_4bit_quant_type: type = 'fp4' } = options
  const settings = {
    bnb_4bit_use_double_quant: options.bnb_4bit_use_double_quant ?? BITSANDBYTES_DEFAULTS.bnb_4bit_use_double_quant,
    bnb_4bit_quant_storage: unprefixed(options.bnb_4bit_quant_storage ?? BITSANDBYTES_DEFAULTS.bnb_4bit_quant_storage),
    bnb_4bit_compute_dtype: unprefixed(options.bnb_4bit_compute_dtype ?? BITSANDBYTES_DEFAULTS.bnb_4bit_compute_dtype),
    llm_int8_threshold: options.llm_int8_threshold ?? BITSANDBYTES_DEFAULTS.llm_int8_threshold,
    llm_int8_enable_fp32_cpu_offload: options.llm_int8_enable_fp32_cpu_offload ?? BITSANDBYTES_DEFAULTS.llm_int8_enable_fp32_cpu_offload,
  }
  return bitsandbytesScheme({ type: in8 ? 'int8' : type, settings })
}

function unprefixed(name: string): string {
  return name.replace(/^torch\./, '')
}

/** Errors: SchemeError for what transformers could not look for. */
function requirePattern(key: string, index: number): void {
  try {
    pythonPattern(key)
  } catch (error) {
    throw new SchemeError(
      `Cannot use llm_int8_skip_modules: found ${JSON.stringify(key)}, expected the beginning or the end of a module's name, which transformers takes for a regular expression (${error instanceof Error ? error.message : error})`,
      ['llm_int8_skip_modules', index],
    )
  }
}

/** As transformers looks for them (`should_convert_module`): a regular expression from the start of the name, or its end as it is. */
function skipPattern(key: string): string {
  return `re:(?:${key}|.*${key.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$)`
}

const METHODS = { nf4: 'NF4', fp4: 'FP4', int: 'LLM.int8', float: '' } as const

function quantize(linear: Linear, scheme: QuantizationScheme): void {
  const started = performance.now()
  const { name, weight, rows, columns, dtype } = linear
  const args = scheme.weights
  if (!args) return
  const tensor = `${name}.weight`
  assertFinite(weight, tensor)
  const quantized =
    args.type === 'int' ? quantizeLlmInt8(weight, rows, columns, args, tensor) : quantizeFourBit(weight, rows, columns, args, dtype)
  linear.quantized = quantized
  linear.report = {
    name,
    method: METHODS[args.type],
    scheme: schemeLabel(scheme),
    error: relativeError(weight, dequantize(quantized)),
    errorOf: 'weights',
    seconds: (performance.now() - started) / 1000,
  }
}
