import { CheckpointError } from '../util/errors.ts'
import { type Config, count, flag, positive } from './config-values.ts'
import { plainFrequencies, type Rope, trainedLength, type UnscaledRope } from './rope-frequencies.ts'

/** Positions divided by a factor (arXiv 2306.15595). */
export function scaleLinear({ scaling, channels, frequencies }: UnscaledRope): Rope {
  const factor = positive(scaling, 'factor')
  const scaled = frequencies.map((frequency) => frequency / factor)
  return { channels, frequencies: () => scaled, magnitude: 1 }
}

/** Rows longer than the model's positions get a larger base (dynamic NTK, as transformers computes it). */
export function scaleDynamic({ config, scaling, theta, channels, frequencies }: UnscaledRope): Rope {
  const factor = positive(scaling, 'factor')
  const positions = count(config, 'max_position_embeddings', 2048)
  return {
    channels,
    frequencies: (length) => {
      if (length <= positions) return frequencies
      const stretch = (factor * length) / positions - (factor - 1)
      return plainFrequencies(theta * stretch ** (channels / (channels - 2)), channels)
    },
    magnitude: 1,
  }
}

/** Llama 3.1's scaling: long wavelengths are divided by `factor`, short ones kept, those between blended. */
export function scaleLlama3({ scaling, channels, frequencies, ...rest }: UnscaledRope): Rope {
  const factor = positive(scaling, 'factor')
  const low = positive(scaling, 'low_freq_factor')
  const high = positive(scaling, 'high_freq_factor')
  const trained = trainedLength({ scaling, channels, frequencies, ...rest })
  const scaled = frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency
    if (wavelength > trained / low) return frequency / factor
    if (wavelength < trained / high) return frequency
    const blend = (trained / wavelength - low) / (high - low)
    return ((1 - blend) * frequency) / factor + blend * frequency
  })
  return { channels, frequencies: () => scaled, magnitude: 1 }
}

/** YaRN (arXiv 2309.00071): channels that turn often keep their frequency, those that turn seldom are divided, those between are blended. */
export function scaleYarn(rope: UnscaledRope): Rope {
  const { config, scaling, theta, channels, frequencies } = rope
  const trained = trainedLength(rope)
  const factor = positive(scaling, 'factor', count(config, 'max_position_embeddings', 2048) / trained)
  // The channel pair that turns so often within the trained length.
  const pairOf = (turns: number) => (channels * Math.log(trained / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const whole = flag(scaling, 'truncate', true)
  const [fast, slow] = [pairOf(positive(scaling, 'beta_fast', 32)), pairOf(positive(scaling, 'beta_slow', 1))]
  const low = Math.max(whole ? Math.floor(fast) : fast, 0)
  const high = Math.min(whole ? Math.ceil(slow) : slow, channels - 1)
  const width = high === low ? 0.001 : high - low
  const scaled = frequencies.map((frequency, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / width))
    return (frequency / factor) * divided + frequency * (1 - divided)
  })
  return { channels, frequencies: () => scaled, magnitude: yarnMagnitude(scaling, factor) }
}

/** Section 3.4 of the YaRN paper; DeepSeek's two scales cancel where they are equal. */
function yarnMagnitude(scaling: Config, factor: number): number {
  if (typeof scaling.attention_factor === 'number') return positive(scaling, 'attention_factor')
  const { mscale, mscale_all_dim: allDim } = scaling
  if (typeof mscale === 'number' && typeof allDim === 'number' && mscale > 0 && allDim > 0)
    return yarnScale(factor, mscale) / yarnScale(factor, allDim)
  return yarnScale(factor)
}

/** 0.1 m ln(factor) + 1, or 1 where nothing is stretched. */
export function yarnScale(factor: number, multiplier = 1): number {
  return factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1
}

/** LongRoPE (arXiv 2402.13753): a divisor for each channel pair, one list for rows up to the trained length and one for longer ones. */
export function scaleLong(rope: UnscaledRope): Rope {
  const { config, scaling, channels, frequencies } = rope
  const trained = trainedLength(rope)
  const factor = positive(scaling, 'factor', count(config, 'max_position_embeddings', 2048) / trained)
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trained))
  const divided = (key: string) => {
    const divisors = numbers(scaling, key, channels / 2)
    return frequencies.map((frequency, i) => 1 / Math.fround(divisors[i] * Math.fround(1 / frequency)))
  }
  const [short, long] = [divided('short_factor'), divided('long_factor')]
  return {
    channels,
    frequencies: (length) => (length > trained ? long : short),
    magnitude: positive(scaling, 'attention_factor', magnitude),
  }
}

function numbers(scaling: Config, key: string, length: number): Float32Array {
  const list = scaling[key]
  if (Array.isArray(list) && list.length === length && list.every((value) => typeof value === 'number' && value > 0))
    return Float32Array.from(list)
  const found = Array.isArray(list) ? `a list of ${list.length}` : JSON.stringify(list)
  const message = `Cannot read the model's config.json: ${key} of its RoPE is ${found}, expected ${length} positive numbers.`
  throw new CheckpointError(message, { file: 'config.json' })
}
