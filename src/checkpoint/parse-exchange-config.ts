import type { JsonObject } from './json-file.ts'
import type { QuantizationArgs, QuantizationConfig } from './quantization-config.ts'
import { flagIn, namesIn, objectIn, requirePatterns, unusable, wordIn } from './section-values.ts'

/**
 * The `quantization_config` of a GPTQ or AWQ checkpoint as compressed-tensors would put it: one group for all linears; which of them are
 * compressed, only the tensors tell. Keys and defaults as AutoGPTQ, AutoAWQ and GPTQModel write and read them (`QuantizeConfig.from_quant_config`):
 * without `checkpoint_format` zero points are those of the first version. Errors: CheckpointError for what is not read here.
 */
export function parseExchangeConfig(stored: Readonly<JsonObject>): QuantizationConfig {
  const quantization = stored.quant_method === 'awq' ? awq(stored) : gptq(stored)
  const { method, format, bits, symmetric, actorder } = quantization
  const size = groupSize(stored.group_size ?? stored.q_group_size ?? 128)
  const weights: QuantizationArgs = {
    num_bits: bits,
    type: 'int',
    strategy: size === null ? 'channel' : 'group',
    group_size: size,
    block_structure: null,
    symmetric,
    dynamic: false,
    actorder,
    scale_dtype: null,
    zp_dtype: null,
    observer: null,
    observer_kwargs: {},
  }
  const group = { targets: ['Linear'], weights, input_activations: null, output_activations: null, format }
  return {
    quant_method: method,
    format,
    quantization_status: 'compressed',
    config_groups: { group_0: group },
    ignore: [],
    kv_cache_scheme: null,
  }
}

interface Read extends Pick<QuantizationConfig, 'format'> {
  readonly method: QuantizationConfig['quant_method']
  readonly bits: number
  readonly symmetric: boolean
  readonly actorder: QuantizationArgs['actorder']
}

function gptq(stored: Readonly<JsonObject>): Read {
  const format = wordIn(stored, 'checkpoint_format') ?? wordIn(stored, 'format') ?? 'gptq'
  if (format !== 'gptq' && format !== 'gptq_v2') throw unusable('checkpoint_format', format, 'gptq or gptq_v2')
  if (flagIn(stored, 'is_marlin_format', false))
    throw unusable('is_marlin_format', true, 'false: weights in the order of one kernel are not read')
  const word32 = wordIn(stored, 'pack_dtype') ?? 'int32'
  if (word32 !== 'int32') throw unusable('pack_dtype', word32, 'int32')
  requireNoOverrides(objectIn(stored, 'dynamic'))
  const symmetric = flagIn(stored, 'sym', true)
  return {
    method: 'gptq',
    format,
    bits: bits(stored, [2, 3, 4, 8]),
    symmetric,
    actorder: flagIn(stored, 'desc_act', false) ? 'group' : null,
  }
}

/** Errors: CheckpointError for patterns that give some linears a scheme of their own, and for patterns that match nothing ever. */
function requireNoOverrides(dynamic: Readonly<JsonObject>): void {
  for (const [pattern, scheme] of Object.entries(dynamic)) {
    if (!pattern.startsWith('-'))
      throw unusable(`dynamic.${pattern}`, scheme, 'no scheme for some linears alone (patterns with -: are read)')
  }
  const left = Object.keys(dynamic).map((pattern) => pattern.replace(/^-:/, ''))
  requirePatterns('dynamic', left)
}

/** Zero points are stored whatever `zero_point` says, and so they are read. */
function awq(stored: Readonly<JsonObject>): Read {
  const version = wordIn(stored, 'version') ?? wordIn(stored, 'format') ?? 'gemm'
  if (version !== 'gemm') throw unusable('version', version, 'gemm: the other orders of AWQ are not read')
  if (stored.backend === 'llm-awq') throw unusable('backend', 'llm-awq', 'autoawq: its order of words is not read')
  flagIn(stored, 'zero_point', true)
  namesIn(stored, 'modules_to_not_convert')
  return { method: 'awq', format: 'awq', bits: bits(stored, [4]), symmetric: false, actorder: null }
}

function bits(stored: Readonly<JsonObject>, known: readonly number[]): number {
  const found = stored.bits ?? stored.w_bit ?? stored.wbits
  const number = known.find((value) => value === found)
  if (number === undefined) throw unusable('bits', found, known.join(', '))
  return number
}

function groupSize(found: unknown): number | null {
  if (found === -1) return null
  if (typeof found === 'number' && Number.isInteger(found) && found > 0) return found
  throw unusable('group_size', found, 'a whole number of columns, or -1')
}
