import { COMPUTE_DTYPES, FOUR_BIT_BLOCK, QUANT_STORAGES } from './bitsandbytes-args.ts'
import type { JsonObject } from './json-file.ts'
import type { BitsAndBytesSettings, QuantizationArgs, QuantizationConfig, QuantizationScheme } from './quantization-config.ts'
import { flagIn, namesIn, requirePatterns, unusable } from './section-values.ts'

/** What is asked of a bitsandbytes checkpoint: one of three types for all linears, and the settings beside it. */
export interface BitsAndBytesChoice {
  readonly type: 'int8' | 'nf4' | 'fp4'
  readonly settings: BitsAndBytesSettings
}

/** transformers' defaults (`BitsAndBytesConfig`). */
export const BITSANDBYTES_DEFAULTS: BitsAndBytesSettings = {
  bnb_4bit_use_double_quant: false,
  bnb_4bit_quant_storage: 'uint8',
  bnb_4bit_compute_dtype: 'float32',
  llm_int8_threshold: 6,
  llm_int8_enable_fp32_cpu_offload: false,
}

const ARGS: Omit<QuantizationArgs, 'num_bits' | 'type' | 'strategy' | 'group_size'> = {
  block_structure: null,
  symmetric: true,
  dynamic: false,
  actorder: null,
  scale_dtype: null,
  zp_dtype: null,
  observer: null,
  observer_kwargs: {},
}

/** A choice as compressed-tensors would put it: a scheme without targets. LLM.int8 quantizes inputs by token, but for columns with outliers. */
export function bitsandbytesScheme({ type, settings }: BitsAndBytesChoice): Omit<QuantizationScheme, 'targets'> {
  if (type !== 'int8') {
    const weights: QuantizationArgs = { ...ARGS, num_bits: 4, type, strategy: 'group', group_size: FOUR_BIT_BLOCK, bitsandbytes: settings }
    return { weights, input_activations: null, output_activations: null, format: 'bitsandbytes-4bit' }
  }
  const codes = { ...ARGS, num_bits: 8, type: 'int', group_size: null } as const
  return {
    weights: { ...codes, strategy: 'channel', bitsandbytes: settings },
    input_activations: { ...codes, strategy: 'token', dynamic: true, outlier_threshold: settings.llm_int8_threshold },
    output_activations: null,
    format: 'bitsandbytes-8bit',
  }
}

/**
 * The `quantization_config` of a bitsandbytes checkpoint as compressed-tensors would put it: one group for all linears; which of them are
 * compressed, only the tensors tell. Keys and defaults are those of transformers' BitsAndBytesConfig. Errors: CheckpointError naming the key for a value
 * that it has not, and for what is not read here.
 */
export function parseBitsAndBytesConfig(stored: Readonly<JsonObject>): QuantizationConfig {
  const flag = (key: string) => flagIn(stored, key, flagIn(stored, `_${key}`, false))
  const word = <T extends string>(key: string, byDefault: T, known: readonly T[]) => {
    const value = stored[key] ?? byDefault
    const found = known.find((name) => name === value || `torch.${name}` === value)
    if (found === undefined) throw unusable(key, value, known.join(', '))
    return found
  }
  const [in8, in4] = [flag('load_in_8bit'), flag('load_in_4bit')]
  if (in8 === in4) throw unusable('load_in_8bit', in8, `load_in_4bit to be ${!in8}: one of both`)
  if (in8 && flag('llm_int8_has_fp16_weight')) {
    throw unusable('llm_int8_has_fp16_weight', true, 'false: such a checkpoint has the weights of the original, which can be read instead')
  }
  const threshold = stored.llm_int8_threshold ?? BITSANDBYTES_DEFAULTS.llm_int8_threshold
  if (typeof threshold !== 'number' || !(threshold >= 0)) throw unusable('llm_int8_threshold', threshold, 'a number of at least 0')
  requirePatterns('llm_int8_skip_modules', namesIn(stored, 'llm_int8_skip_modules'))
  const scheme = bitsandbytesScheme({
    type: in8 ? 'int8' : word('bnb_4bit_quant_type', 'fp4', ['nf4', 'fp4']),
    settings: {
      bnb_4bit_use_double_quant: flag('bnb_4bit_use_double_quant'),
      bnb_4bit_quant_storage: word('bnb_4bit_quant_storage', 'uint8', QUANT_STORAGES),
      bnb_4bit_compute_dtype: word('bnb_4bit_compute_dtype', 'float32', COMPUTE_DTYPES),
      llm_int8_threshold: threshold,
      llm_int8_enable_fp32_cpu_offload: flag('llm_int8_enable_fp32_cpu_offload'),
    },
  })
  return {
    quant_method: 'bitsandbytes',
    format: scheme.format ?? '',
    quantization_status: 'compressed',
    config_groups: { group_0: { ...scheme, targets: ['Linear'] } },
    ignore: [],
    kv_cache_scheme: null,
  }
}
