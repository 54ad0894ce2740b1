import { type Config, count, oneOf, positive, section } from './config-values.ts'

/** Rotary position embedding (RoFormer, arXiv 2104.09864) with the frequency scalings of config.json. */
export interface Rope {
  /** [headDim / 2] angle per position step. */
  readonly frequencies: Float32Array
}

const TYPES = ['default', 'linear', 'llama3'] as const

/**
 * The rotary frequencies that config.json describes, in either spelling: `rope_parameters` with everything inside (transformers 5), or
 * `rope_theta` beside an optional `rope_scaling`. Errors: CheckpointError for a rope_type that is not known.
 */
export function readRope(config: Config, headDim: number): Rope {
  const scaling = section(config, 'rope_parameters') ?? section(config, 'rope_scaling') ?? {}
  const theta = positive(scaling, 'rope_theta', positive(config, 'rope_theta', 10_000))
  // rope_scaling of older configs says "type".
  const type = oneOf({ rope_type: scaling.rope_type ?? scaling.type }, 'rope_type', TYPES, 'default')
  const frequencies = new Float32Array(headDim / 2)
  for (let i = 0; i < frequencies.length; i++) frequencies[i] = 1 / Math.fround(theta ** ((2 * i) / headDim))
  if (type === 'linear') {
    const factor = positive(scaling, 'factor')
    return { frequencies: frequencies.map((f) => f / factor) }
  }
  return { frequencies: type === 'llama3' ? scaleLlama3(frequencies, scaling) : frequencies }
}

/** Llama 3.1's scaling: long wavelengths are divided by `factor`, short ones kept, those between blended. */
function scaleLlama3(frequencies: Float32Array, scaling: Config): Float32Array {
  const factor = positive(scaling, 'factor')
  const low = positive(scaling, 'low_freq_factor')
  const high = positive(scaling, 'high_freq_factor')
  const trained = count(scaling, 'original_max_position_embeddings')
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency
    if (wavelength > trained / low) return frequency / factor
    if (wavelength < trained / high) return frequency
    const blend = (trained / wavelength - low) / (high - low)
    return ((1 - blend) * frequency) / factor + blend * frequency
  })
}

/** Cosines and sines [length, headDim], the half-width angles repeated, as the half-split rotation of Llama wants them. */
export function ropeTables({ frequencies }: Rope, length: number): { cos: Float32Array; sin: Float32Array } {
  const half = frequencies.length
  const cos = new Float32Array(length * half * 2)
  const sin = new Float32Array(length * half * 2)
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < half; i++) {
      // The product is rounded to float32 first: so do the models' own implementations, and at position 2000 it shows.
      const angle = Math.fround(position * frequencies[i])
      const at = position * half * 2 + i
      cos[at] = cos[at + half] = Math.cos(angle)
      sin[at] = sin[at + half] = Math.sin(angle)
    }
  }
  return { cos, sin }
}
