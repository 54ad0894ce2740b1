import type { FromSchema } from 'json-schema-to-ts'
import type { Mapping, Modifier, ModifierDefinition, Rescales } from './modifier.ts'
import { PATTERNS } from './quantization-options.ts'
import { measureRanges } from './statistics/channels.ts'
import { largestWeights } from './statistics/weights.ts'

/** How the factors follow from the statistics. */
type Algorithm = 'smoothquant' | 'log_equalization'

/** The options of SmoothQuantModifier, as JSON schema properties. */
export const smoothQuantOptions = {
  smoothing_strength: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    default: 0.5,
    description: 'How much of the difficulty moves into the weights: 0 leaves it in the inputs, 1 moves all of it. 0.8 is common for W8A8.',
  },
  mappings: {
    anyOf: [
      {
        type: 'array',
        minItems: 1,
        items: { type: 'array', items: [PATTERNS, { type: 'string' }], additionalItems: false, minItems: 2, maxItems: 2 },
      },
      { type: 'null' },
    ],
    description:
      'Pairs of the linears to balance and the module that their inputs come from; left out: all that read the outputs of a norm.',
  },
  ignore: {
    anyOf: [...PATTERNS.anyOf, { type: 'null' }],
    description: 'Stages are left alone where the source and all linears match.',
  },
  algorithm: {
    enum: ['smoothquant', 'log_equalization'],
    default: 'smoothquant',
    description: 'log_equalization (arXiv 2308.15987) follows from the inputs alone: range / log2(2 + range).',
  },
  num_calibration_steps: { type: ['integer', 'null'], description: 'Accepted for compatibility: all calibration rows are used.' },
  calibration_function: { type: ['string', 'null'], description: 'Accepted for compatibility, and of no effect.' },
  requires_calibration_data: { type: 'boolean', description: 'Accepted because llm-compressor writes it into its recipe.yaml.' },
} as const

const schema = { type: 'object', additionalProperties: false, properties: smoothQuantOptions } as const

type Options = FromSchema<typeof schema>

/** Which stages are smoothed: those that read a norm, unless mappings say otherwise. */
export const smoothedStages: Rescales<Pick<Options, 'mappings' | 'ignore'>> = {
  sources: ['norm'],
  forQuantizer: false,
  mappings: ({ mappings }) =>
    mappings?.map(([balance, smooth], i): Mapping => ({ balance: [balance].flat(), smooth, path: ['mappings', i] })) ?? null,
  ignore: ({ ignore }) => [ignore ?? []].flat(),
}

/** SmoothQuant (arXiv 2211.10438): moves outliers of the inputs into the weights, so that both round well to 8 bits. */
export const modifier: ModifierDefinition<Options> = {
  names: ['SmoothQuantModifier', 'smoothquant'],
  description: 'Divides outlying input channels and multiplies their weights, so that inputs round well to 8 bits (arXiv 2211.10438).',
  schema,
  quantizes: false,
  rescales: smoothedStages,
  needs: () => 'inputs',
  create: ({ algorithm = 'smoothquant', smoothing_strength = 0.5 }) => smoother(algorithm, smoothing_strength),
}

/** Smooths the stages that it is given. Errors: RunError for inputs that are not finite. */
export function smoother(algorithm: Algorithm, strength: number): Modifier {
  return {
    async apply(stage) {
      const { low, high } = await measureRanges(stage)
      const range = high.map((value, channel) => value - low[channel])
      const factors =
        algorithm === 'log_equalization' ? logFactors(range) : smoothingFactors(range, largestWeights(stage.linears), strength)
      await stage.rescaleInputs(factors.map((factor) => Math.max(factor, SMALLEST)))
      const by = algorithm === 'log_equalization' ? 'log equalization' : 'SmoothQuant'
      for (const linear of stage.linears) linear.rescaled = [...(linear.rescaled ?? []), { by }]
    },
  }
}

/** The smallest factor of llm-compressor, for channels without any range. */
const SMALLEST = 1e-5

/**
 * s = range^α / (2 max|W|)^(1-α) per input channel: eq. 4 of the paper as llm-compressor computes it, with the range (max - min) for
 * max |X| and the width of a symmetric range for max |W|. A channel without weights takes its range. Arrays are [columns].
 */
export function smoothingFactors(range: Float32Array, largest: Float32Array, strength: number): Float32Array {
  return range.map((a, channel) => (largest[channel] > 0 ? a ** strength / (2 * largest[channel]) ** (1 - strength) : a))
}

/** s = range / log2(2 + range), as llm-compressor. */
export function logFactors(range: Float32Array): Float32Array {
  return range.map((a) => a / Math.log2(2 + a))
}
