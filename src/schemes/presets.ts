import { didYouMean } from '../util/nearest.ts'
import type { PartialArgs } from './args.ts'
import { SchemeError } from './scheme-error.ts'

/**
 * What a preset's name stands for: weights, the inputs of the linear, and the on-disk format where the default is not what servers load.
 */
export interface Preset {
  readonly weights: PartialArgs
  readonly input_activations: PartialArgs | null
  readonly format: string | null
}

const INT8_TOKEN: PartialArgs = { num_bits: 8, type: 'int', strategy: 'token', dynamic: true }
const INT4_TOKEN: PartialArgs = { num_bits: 4, type: 'int', strategy: 'token', dynamic: true }
const FP8_TOKEN: PartialArgs = { num_bits: 8, type: 'float', strategy: 'token', dynamic: true }

const FP8_TENSOR: PartialArgs = { num_bits: 8, type: 'float', strategy: 'tensor' }
/** 4-bit floats in groups of 16, E4M3 scales under one of the tensor. */
const NVFP4: PartialArgs = { num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' }

/** Floats in groups of 32 with powers of two as scales. */
function mx(bits: number): PartialArgs {
  return { num_bits: bits, type: 'float', strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' }
}

function intGroup(bits: number, symmetric = true): PartialArgs {
  return { num_bits: bits, type: 'int', strategy: 'group', group_size: 128, symmetric }
}

function preset(weights: PartialArgs, inputs: PartialArgs | null = null, format: string | null = null): Preset {
  return { weights, input_activations: inputs, format }
}

const W8A8 = preset({ num_bits: 8, type: 'int', strategy: 'channel' }, INT8_TOKEN)

/** The presets of compressed-tensors 0.19 (`quant_scheme.py`) that can be written, by upper-case name. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  W2A16: preset(intGroup(2)),
  W3A16: preset(intGroup(3)),
  W4A16: preset(intGroup(4)),
  W5A16: preset(intGroup(5)),
  W6A16: preset(intGroup(6)),
  W7A16: preset(intGroup(7)),
  W8A16: preset(intGroup(8)),
  W4A16_ASYM: preset(intGroup(4, false)),
  W8A8,
  INT8: W8A8,
  W2A8: preset(intGroup(2), INT8_TOKEN),
  W3A8: preset(intGroup(3), INT8_TOKEN),
  W4A8: preset(intGroup(4), INT8_TOKEN),
  W5A8: preset(intGroup(5), INT8_TOKEN),
  W6A8: preset(intGroup(6), INT8_TOKEN),
  W7A8: preset(intGroup(7), INT8_TOKEN),
  W2A4: preset(intGroup(2), INT4_TOKEN),
  W3A4: preset(intGroup(3), INT4_TOKEN),
  W4A4: preset(intGroup(4), INT4_TOKEN),
  // By default int weights with activations are stored one byte per weight; vLLM's W4A8-FP8 path reads packed words.
  W4AFP8: preset(intGroup(4), FP8_TOKEN, 'pack-quantized'),
  FP8: preset(FP8_TENSOR, { ...FP8_TENSOR, dynamic: false, observer: 'static_minmax' }),
  FP8_DYNAMIC: preset({ num_bits: 8, type: 'float', strategy: 'channel' }, FP8_TOKEN),
  FP8_BLOCK: preset(
    { num_bits: 8, type: 'float', strategy: 'block', block_structure: [128, 128] },
    { num_bits: 8, type: 'float', strategy: 'group', group_size: 128, dynamic: true },
  ),
  NVFP4A16: preset(NVFP4),
  NVFP4: preset(NVFP4, { ...NVFP4, dynamic: 'local', observer: 'static_minmax' }),
  MXFP4A16: preset(mx(4)),
  MXFP4: preset(mx(4), { ...mx(4), dynamic: true }),
  MXFP8A16: preset(mx(8)),
  MXFP8: preset(mx(8), { ...mx(8), dynamic: true }),
}

/** Names that llm-compressor knows and this version does not write, with the reason. */
export const UNAVAILABLE_PRESETS: Readonly<Record<string, string>> = {
  UNQUANTIZED: 'it changes nothing; list those modules under `ignore`',
}

/** True for the name of a preset that `findPreset` resolves or refuses with its own reason; case does not count. */
export function isPresetName(name: string): boolean {
  const key = name.toUpperCase()
  return Object.hasOwn(PRESETS, key) || Object.hasOwn(UNAVAILABLE_PRESETS, key)
}

/** The preset of a name, in any case. Errors: SchemeError for one that is unknown or not available in this version. */
export function findPreset(name: string): Preset {
  const key = name.toUpperCase()
  const found = Object.hasOwn(PRESETS, key) ? PRESETS[key] : undefined
  if (found) return found
  const available = Object.keys(PRESETS).join(', ')
  if (Object.hasOwn(UNAVAILABLE_PRESETS, key)) {
    throw new SchemeError(
      `Cannot use scheme ${key}: not available in this version (${UNAVAILABLE_PRESETS[key]}), expected one of ${available}`,
    )
  }
  throw new SchemeError(
    `Cannot use scheme "${name}": no preset has this name${didYouMean(name, Object.keys(PRESETS))}, expected one of ${available}`,
  )
}
