import type { QuantizationArgs, QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import { servedModel } from '../../src/servers/served-model.ts'
import type { ServedLinear, ServedModel } from '../../src/servers/server.ts'

const BLANK: QuantizationArgs = {
  num_bits: 8,
  type: 'int',
  strategy: 'channel',
  group_size: null,
  block_structure: null,
  symmetric: true,
  dynamic: false,
  actorder: null,
  scale_dtype: null,
  zp_dtype: null,
  observer: null,
  observer_kwargs: {},
}

export function args(more: Partial<QuantizationArgs>): QuantizationArgs {
  return { ...BLANK, ...more }
}

function scheme(format: string, weights: Partial<QuantizationArgs>, inputs: Partial<QuantizationArgs> | null = null): QuantizationScheme {
  return { targets: ['Linear'], weights: args(weights), input_activations: inputs && args(inputs), output_activations: null, format }
}

const group = (bits: number, size: number, symmetric = true): Partial<QuantizationArgs> => ({
  num_bits: bits,
  strategy: 'group',
  group_size: size,
  symmetric,
})
const BY_TOKEN = { strategy: 'token', dynamic: true } as const
const FLOAT = { type: 'float' } as const

/** Schemes by the names people know them by. */
export const SCHEMES = {
  W4A16_G128: scheme('pack-quantized', group(4, 128)),
  W4A16_G64: scheme('pack-quantized', group(4, 64)),
  W4A16_G64_ASYM: scheme('pack-quantized', group(4, 64, false)),
  W4A16_CHANNEL: scheme('pack-quantized', { num_bits: 4 }),
  W8A16_G64: scheme('pack-quantized', group(8, 64)),
  W8A16_G64_ASYM: scheme('pack-quantized', group(8, 64, false)),
  W3A16_G64: scheme('pack-quantized', group(3, 64)),
  W4A16_G48: scheme('pack-quantized', group(4, 48)),
  GPTQ: scheme('gptq', group(4, 128)),
  GPTQ_G256: scheme('gptq', group(4, 256)),
  GPTQ_8: scheme('gptq', group(8, 128)),
  GPTQ_3: scheme('gptq', group(3, 128)),
  GPTQ_ASYM: scheme('gptq_v2', group(4, 128, false)),
  GPTQ_ORDERED: scheme('gptq', { ...group(4, 128), actorder: 'group' }),
  AWQ: scheme('awq', group(4, 128, false)),
  W8A8: scheme('int-quantized', {}, BY_TOKEN),
  W8A8_GROUP: scheme('int-quantized', group(8, 64), BY_TOKEN),
  W8A8_STATIC: scheme('int-quantized', {}, { strategy: 'tensor' }),
  W3A8: scheme('int-quantized', group(3, 64), BY_TOKEN),
  W4A8: scheme('int-quantized', group(4, 64), BY_TOKEN),
  W4A8_PACKED: scheme('pack-quantized', group(4, 64), BY_TOKEN),
  W3A8_PACKED: scheme('pack-quantized', group(3, 64), BY_TOKEN),
  W4AFP8: scheme('pack-quantized', group(4, 128), { ...FLOAT, ...BY_TOKEN }),
  FP8_DYNAMIC: scheme('float-quantized', FLOAT, { ...FLOAT, ...BY_TOKEN }),
  FP8_STATIC: scheme('float-quantized', { ...FLOAT, strategy: 'tensor' }, { ...FLOAT, strategy: 'tensor' }),
  FP8_WEIGHTS: scheme('naive-quantized', FLOAT),
  FP8_BLOCK: scheme(
    'float-quantized',
    { ...FLOAT, strategy: 'block', block_structure: [128, 128] },
    { ...FLOAT, strategy: 'group', group_size: 128, dynamic: true },
  ),
  NVFP4A16: scheme('nvfp4-pack-quantized', { ...FLOAT, ...group(4, 16), strategy: 'tensor_group' }),
  NVFP4: scheme(
    'nvfp4-pack-quantized',
    { ...FLOAT, ...group(4, 16), strategy: 'tensor_group' },
    { ...FLOAT, ...group(4, 16), strategy: 'tensor_group', dynamic: 'local' },
  ),
  MXFP4A16: scheme('mxfp4-pack-quantized', { ...FLOAT, ...group(4, 32), scale_dtype: 'torch.uint8' }),
  MXFP8A16: scheme('mxfp8-quantized', { ...FLOAT, ...group(8, 32), scale_dtype: 'torch.uint8' }),
}

/** Sizes of a decoder layer. */
export interface Sizes {
  hidden: number
  keys: number
  inner: number
}

export const SMOLLM2_135M: Sizes = { hidden: 576, keys: 192, inner: 1536 }
export const LLAMA_8B: Sizes = { hidden: 4096, keys: 1024, inner: 14336 }

const ATTENTION = 'model.layers.0.self_attn'
const MLP = 'model.layers.0.mlp'

interface Changes {
  targets?: string[]
  ignore?: string[]
  /** Schemes of single linears, by their last names: null is not compressed. */
  linears?: Record<string, QuantizationScheme | null>
  /** Facts about single linears, by their last names. */
  facts?: Record<string, Partial<ServedLinear>>
  kv?: Partial<QuantizationArgs>
  config?: Record<string, unknown>
}

/** One decoder layer under one scheme and a head that is not compressed, as a checkpoint of Llama has them. */
export function modelOf(found: QuantizationScheme, sizes: Sizes, changes: Changes = {}): ServedModel {
  const { hidden, keys, inner } = sizes
  const shapes: [string, number, number][] = [
    [`${ATTENTION}.q_proj`, hidden, hidden],
    [`${ATTENTION}.k_proj`, keys, hidden],
    [`${ATTENTION}.v_proj`, keys, hidden],
    [`${ATTENTION}.o_proj`, hidden, hidden],
    [`${MLP}.gate_proj`, inner, hidden],
    [`${MLP}.up_proj`, inner, hidden],
    [`${MLP}.down_proj`, hidden, inner],
    ['lm_head', 49152, hidden],
  ]
  const linears = shapes.map(([name, rows, columns]): ServedLinear => {
    const last = name.slice(name.lastIndexOf('.') + 1)
    const own = changes.linears?.[last]
    return { name, rows, columns, scheme: own === undefined ? (last === 'lm_head' ? null : found) : own, ...changes.facts?.[last] }
  })
  const config = {
    model_type: 'llama',
    torch_dtype: 'bfloat16',
    ...changes.config,
    quantization_config: {
      quant_method: 'compressed-tensors',
      format: found.format,
      config_groups: { group_0: { ...found, targets: changes.targets ?? ['Linear'] } },
      ignore: changes.ignore ?? ['lm_head'],
      kv_cache_scheme: changes.kv ? args(changes.kv) : null,
    },
  }
  return servedModel(config, linears, 'lm_head')
}
