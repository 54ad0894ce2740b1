import { CheckpointError } from '../util/errors.ts'
import { isJsonObject, type JsonObject } from './json-file.ts'
import type { QuantizationArgs, QuantizationConfig } from './quantization-config.ts'

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
  const format = word(stored.checkpoint_format ?? stored.format ?? 'gptq')
  if (format !== 'gptq' && format !== 'gptq_v2') throw unusable('checkpoint_format', format, 'gptq or gptq_v2')
  if (stored.is_marlin_format === true) throw unusable('is_marlin_format', true, 'false: weights in the order of one kernel are not read')
  const { pack_dtype: word32 = 'int32', dynamic } = stored
  if (word32 !== 'int32') throw unusable('pack_dtype', word32, 'int32')
  const overrides = isJsonObject(dynamic) ? Object.keys(dynamic).filter((pattern) => !pattern.startsWith('-')) : []
  if (overrides.length > 0) throw unusable(`dynamic.${overrides[0]}`, dynamic, 'one scheme for all linears (patterns with -: are read)')
  const { sym = true, desc_act: ordered = false } = stored
  return { method: 'gptq', format, bits: bits(stored, [2, 3, 4, 8]), symmetric: sym !== false, actorder: ordered === true ? 'group' : null }
}

/** Zero points are stored whatever `zero_point` says, and so they are read. */
function awq(stored: Readonly<JsonObject>): Read {
  const version = word(stored.version ?? stored.format ?? 'gemm')
  if (version !== 'gemm') throw unusable('version', version, 'gemm: the other orders of AWQ are not read')
  if (stored.backend === 'llm-awq') throw unusable('backend', 'llm-awq', 'autoawq: its order of words is not read')
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

function word(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

function unusable(key: string, found: unknown, expected: string): CheckpointError {
  const message = `Cannot read quantization_config of config.json: its ${key} is ${JSON.stringify(found)?.slice(0, 200)}, expected ${expected}.`
  return new CheckpointError(message, { file: 'config.json' })
}
