import { type Config, count } from './config-values.ts'

/** Rotary position embedding (RoFormer, arXiv 2104.09864) with the frequency scalings of config.json. */
export interface Rope {
  /** Channels of a head that are rotated, from its first on; even. */
  readonly channels: number
  /**
   * [channels / 2] angle per position step. Two scalings depend on how long the rows are: `length` is that of the longest of a run, as a
   * server decides once for all.
   */
  frequencies(length: number): Float32Array
  /** Cosines and sines are multiplied by it (YaRN, LongRoPE). */
  readonly magnitude: number
}

/** What is scaled: the keys of config.json that a scaling reads, and the frequencies without one. */
export interface UnscaledRope {
  readonly config: Config
  /** `rope_parameters`, or `rope_scaling` of older files. */
  readonly scaling: Config
  readonly theta: number
  readonly channels: number
  readonly frequencies: Float32Array
}

/** [channels / 2]: theta^(-2i / channels). */
export function plainFrequencies(theta: number, channels: number): Float32Array {
  const frequencies = new Float32Array(channels / 2)
  for (let i = 0; i < frequencies.length; i++) frequencies[i] = 1 / Math.fround(theta ** ((2 * i) / channels))
  return frequencies
}

/** The rows that a model was trained on before its RoPE was scaled. */
export function trainedLength({ config, scaling }: UnscaledRope): number {
  const outside = config.original_max_position_embeddings
  if (outside !== undefined && outside !== null) return count(config, 'original_max_position_embeddings')
  return count(scaling, 'original_max_position_embeddings', count(config, 'max_position_embeddings', 2048))
}
