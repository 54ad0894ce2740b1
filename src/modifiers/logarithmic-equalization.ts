import type { FromSchema } from 'json-schema-to-ts'
import type { ModifierDefinition } from './modifier.ts'
import { smoothedStages, smoother, smoothQuantOptions } from './smoothquant.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...smoothQuantOptions,
    algorithm: { ...smoothQuantOptions.algorithm, enum: ['log_equalization'], default: 'log_equalization' },
  },
} as const

/** Logarithmic equalization (arXiv 2308.15987): llm-compressor's old name for SmoothQuantModifier with that algorithm. */
export const modifier: ModifierDefinition<FromSchema<typeof schema>> = {
  names: ['LogarithmicEqualizationModifier'],
  description: 'Deprecated name of SmoothQuantModifier with algorithm log_equalization (arXiv 2308.15987).',
  schema,
  quantizes: false,
  rescales: smoothedStages,
  needs: () => 'inputs',
  create: ({ smoothing_strength = 0.5 }) => smoother('log_equalization', smoothing_strength),
}
