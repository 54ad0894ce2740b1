import { didYouMean } from '../util/nearest.ts'
import type { PartialArgs } from './scheme.ts'
import { SchemeError } from './scheme-error.ts'

/** What a preset's name stands for: weights, the inputs of the linear, and the on-disk format where the default is not what servers load. */
export interface Preset {
  readonly weights: PartialArgs
  readonly input_activations: PartialArgs | null
  readonly format: string | null
}

const INT8_TOKEN: PartialArgs = { num_bits: 8, type: 'int', strategy: 'token', dynamic: true }
const FP8_TOKEN: PartialArgs = { num_bits: 8, type: 'float', strategy: 'token', dynamic: true }

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
  // By default int weights with activations are stored one byte per weight; vLLM's W4A8-FP8 path reads packed words.
  W4AFP8: preset(intGroup(4), FP8_TOKEN, 'pack-quantized'),
  FP8_DYNAMIC: preset({ num_bits: 8, type: 'float', strategy: 'channel' }, FP8_TOKEN),
  FP8_BLOCK: preset(
    { num_bits: 8, type: 'float', strategy: 'block', block_structure: [128, 128] },
    { num_bits: 8, type: 'float', strategy: 'group', group_size: 128, dynamic: true },
  ),
}

const STATIC = 'static activation scales'
const FP4 = '4-bit float weights'
const MX = 'power-of-two scales'
const A4 = '4-bit activations'

/** Names that llm-compressor knows and this version does not write, with the reason. */
export const UNAVAILABLE_PRESETS: Readonly<Record<string, string>> = {
  UNQUANTIZED: 'it changes nothing; list those modules under `ignore`',
  FP8: `it needs ${STATIC}; FP8_DYNAMIC is near to it`,
  NVFP4: `it needs ${FP4}`,
  NVFP4A16: `it needs ${FP4}`,
  MXFP4: `it needs ${FP4}`,
  MXFP4A16: `it needs ${FP4}`,
  MXFP8: `it needs ${MX}`,
  MXFP8A16: `it needs ${MX}`,
  W2A4: `it needs ${A4}`,
  W3A4: `it needs ${A4}`,
  W4A4: `it needs ${A4}`,
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
    `Cannot use scheme "${name}": no preset has this name, expected one of ${available}${didYouMean(name, Object.keys(PRESETS))}`,
  )
}
