import { CheckpointError } from '../util/errors.ts'
import { type Config, oneOf, positive, section } from './config-values.ts'
import { plainFrequencies, type Rope } from './rope-frequencies.ts'
import { scaleDynamic, scaleLinear, scaleLlama3, scaleLong, scaleYarn } from './rope-scaling.ts'

const TYPES = ['default', 'linear', 'dynamic', 'yarn', 'longrope', 'su', 'llama3', 'mrope'] as const

/** What a family knows of its rotation beside config.json. */
export interface RopeOptions {
  readonly layerType?: string
  readonly partial?: boolean
}

/** The section of config.json that describes the rotation, null where there is none: as transformers 5, the older one goes first. */
export function ropeSection(config: Config): Config | null {
  const older = section(config, 'rope_scaling')
  return older && Object.keys(older).length > 0 ? older : section(config, 'rope_parameters')
}

/**
 * The rotary frequencies that config.json describes, in either spelling: `rope_parameters` with everything inside (transformers 5), or
 * `rope_theta` beside an optional `rope_scaling`. `layerType`: the layers that it is for (`sliding_attention`), where `rope_parameters` has a
 * section for each type. `partial`: the family can leave channels of a head as they are; others have no use for partial_rotary_factor.
 * Errors: CheckpointError for a rope_type that is not known.
 */
export function readRope(config: Config, headDim: number, { layerType, partial: isPartial = false }: RopeOptions = {}): Rope {
  const all = ropeSection(config) ?? {}
  const scaling = (layerType && section(all, layerType)) || all
  const theta = positive(scaling, 'rope_theta', positive(config, 'rope_theta', 10_000))
  const partial = isPartial ? positive(scaling, 'partial_rotary_factor', positive(config, 'partial_rotary_factor', 1)) : 1
  const channels = Math.trunc(headDim * partial)
  if (channels % 2 !== 0 || channels < 2) {
    const message = `Cannot read the model's config.json: partial_rotary_factor ${partial} of ${headDim} channels is ${channels}, expected an even number.`
    throw new CheckpointError(message, { file: 'config.json' })
  }
  // rope_scaling of older configs says "type".
  const type = oneOf({ rope_type: scaling.rope_type ?? scaling.type }, 'rope_type', TYPES, 'default')
  const unscaled = { config, scaling, theta, channels, frequencies: plainFrequencies(theta, channels) }
  if (type === 'llama3') return scaleLlama3(unscaled)
  if (type === 'linear') return scaleLinear(unscaled)
  if (type === 'dynamic') return scaleDynamic(unscaled)
  if (type === 'yarn') return scaleYarn(unscaled)
  if (type === 'longrope' || type === 'su') return scaleLong(unscaled)
  // mrope: text alone has the same position in all its sections.
  return { channels, frequencies: () => unscaled.frequencies, magnitude: 1 }
}

/**
 * Cosines and sines [length, channels] from position `start` on, the half-width angles repeated, the sines of the first half negated: as the rotation of halves
 * multiplies them.
 */
export function ropeTables(
  rope: Rope,
  { start, length, longest }: { readonly start: number; readonly length: number; readonly longest: number },
): { cos: Float32Array; sin: Float32Array } {
  const frequencies = rope.frequencies(longest)
  const half = frequencies.length
  const cos = new Float32Array(length * half * 2)
  const sin = new Float32Array(length * half * 2)
  for (let row = 0; row < length; row++) {
    for (let i = 0; i < half; i++) {
      // The product is rounded to float32 first: so do the models' own implementations, and at position 2000 it shows.
      const angle = Math.fround((start + row) * frequencies[i])
      const at = row * half * 2 + i
      cos[at] = cos[at + half] = Math.cos(angle) * rope.magnitude
      sin[at + half] = Math.sin(angle) * rope.magnitude
      sin[at] = -sin[at + half]
    }
  }
  return { cos, sin }
}
