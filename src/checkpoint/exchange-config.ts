import type { JsonObject } from './json-file.ts'
import type { QuantizationScheme } from './quantization-config.ts'

/** What a GPTQ or AWQ checkpoint says of itself. */
export interface ExchangeModel {
  /** The one scheme of all compressed linears. */
  readonly scheme: QuantizationScheme
  /** Full names of the compressed linears. */
  readonly linears: readonly string[]
  /** Full names of modules that loaders would take for compressed linears and that are not. */
  readonly left: readonly string[]
  /** The output projection. */
  readonly head: string
  /** Program and version, `llmpress:0.1.0`. */
  readonly quantizer: string
}

/** A `quantization_config`, and the same in a file of its own, where older tools look for it. */
export interface ExchangeConfig {
  readonly section: JsonObject
  readonly file: { readonly name: string; readonly text: string }
}

/** The files that GPTQ and AWQ tools keep their configuration in, beside config.json. */
export const EXCHANGE_FILES = ['quantize_config.json', 'quant_config.json']

/**
 * The configuration of a GPTQ checkpoint: keys of AutoGPTQ and GPTQModel. Symmetric weights are in the first version of the format, which
 * everything reads; others in gptq_v2, since a zero point of 0 has no place in the first (see `gptqLayout`). What is left out stands under
 * `dynamic` for GPTQModel, vLLM and SGLang, and what is not under `modules_in_block_to_quantize` for transformers (optimum).
 */
export function gptqConfig(format: string, { scheme, linears, left, head, quantizer }: ExchangeModel): ExchangeConfig {
  const { weights } = scheme
  const within = linears.filter((name) => name !== head)
  const outside = left.filter((name) => name !== head)
  const { dynamic } = leftOut(outside)
  const section: JsonObject = {
    quant_method: 'gptq',
    bits: weights?.num_bits,
    group_size: weights?.group_size ?? -1,
    desc_act: weights?.actorder === 'group',
    sym: weights?.symmetric,
    lm_head: linears.includes(head),
    format,
    checkpoint_format: format,
    pack_dtype: 'int32',
    ...(dynamic && { dynamic, modules_in_block_to_quantize: [shortest(within, outside)] }),
    meta: { quantizer: [quantizer] },
  }
  return { section, file: { name: 'quantize_config.json', text: textOf(section) } }
}

/** Patterns of GPTQModel for modules to leave alone; nothing where there are none. */
function leftOut(outside: readonly string[]): { dynamic?: JsonObject } {
  return outside.length === 0 ? {} : { dynamic: Object.fromEntries(outside.map((name) => [`-:${patternOf(name)}`, {}])) }
}

/** A full name as a regular expression; one that is a pattern already (`re:`) as it is. */
function patternOf(name: string): string {
  return name.startsWith('re:') ? name.slice(3) : `^${name.replaceAll('.', '\\.')}$`
}

/** The ends of names, without the layer's number, where they tell the two lists apart; else the full names. */
function shortest(within: readonly string[], outside: readonly string[]): string[] {
  const ends = [...new Set(within.map((name) => name.replace(/^.*?\.\d+\./, '')))]
  const tells = outside.every((name) => !ends.some((end) => name.endsWith(end)))
  return tells ? ends : [...within]
}

/**
 * The configuration of an AWQ checkpoint in AutoAWQ's GEMM format, with the names of transformers in config.json and AutoAWQ's own in the file.
 * Zero points are always there, of symmetric weights too. GPTQModel 7.7 does not look at `modules_to_not_convert`, and has `dynamic`.
 */
export function awqConfig({ scheme: { weights }, left, head }: ExchangeModel): ExchangeConfig {
  // Loaders look for these names within the full ones: patterns would find nothing, and what they stand for is named as well.
  const names = left.filter((name) => !name.startsWith('re:'))
  const group = weights?.group_size ?? -1
  const others = { modules_to_not_convert: names.length > 0 ? names : null, ...leftOut(left.filter((name) => name !== head)) }
  const own = { zero_point: true, q_group_size: group, w_bit: 4, version: 'GEMM', ...others, quant_method: 'awq' }
  return {
    section: { quant_method: 'awq', bits: 4, group_size: group, zero_point: true, version: 'gemm', ...others },
    file: { name: 'quant_config.json', text: textOf(own) },
  }
}

function textOf(value: JsonObject): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
