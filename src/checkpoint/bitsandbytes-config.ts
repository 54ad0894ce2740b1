import { pythonPattern } from '../util/python-pattern.ts'
import type { ExchangeModel } from './exchange-config.ts'
import type { JsonObject } from './json-file.ts'

/** Numbers of config.json, by path, that transformers takes as floats alone: written with a point. */
export const FLOATS_IN_CONFIG = ['quantization_config/llm_int8_threshold']

/**
 * The `quantization_config` of a bitsandbytes checkpoint, as transformers saves its BitsAndBytesConfig. `llm_int8_skip_modules` is null where
 * the head alone is left, as transformers does by itself.
 */
export function bitsandbytesConfig({ scheme: { weights }, left, head }: Omit<ExchangeModel, 'quantizer' | 'linears'>): JsonObject {
  const in4 = weights?.type === 'nf4' || weights?.type === 'fp4'
  const skipped = left.map((name) => (name.startsWith('re:') ? name.slice(3) : name))
  const byDefault = skipped.length === 1 && skipped[0] === head
  const { bitsandbytes: settings } = weights ?? {}
  return {
    _load_in_4bit: in4,
    _load_in_8bit: !in4,
    bnb_4bit_compute_dtype: settings?.bnb_4bit_compute_dtype,
    bnb_4bit_quant_storage: settings?.bnb_4bit_quant_storage,
    bnb_4bit_quant_type: in4 ? weights.type : 'fp4',
    bnb_4bit_use_double_quant: settings?.bnb_4bit_use_double_quant,
    llm_int8_enable_fp32_cpu_offload: settings?.llm_int8_enable_fp32_cpu_offload,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: byDefault ? null : skipped,
    llm_int8_threshold: settings?.llm_int8_threshold,
    load_in_4bit: in4,
    load_in_8bit: !in4,
    quant_method: 'bitsandbytes',
  }
}

/** Whether transformers leaves a module alone for a list of skipped modules (`should_convert_module`). */
export function isSkipped(name: string, skipped: readonly string[]): boolean {
  return skipped.some((key) => pythonPattern(key).test(name) || name.endsWith(key))
}
