import type { FromSchema } from 'json-schema-to-ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { needsInputs } from '../schemes/observers.ts'
import { stageGlobalScale } from '../schemes/qparams.ts'
import { assertFinite } from '../schemes/quantize.ts'
import { roundWeight } from '../schemes/round-weight.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import type { GridOptions } from '../schemes/weight-grid.ts'
import type { Linear, ModifierDefinition, Stage } from './modifier.ts'
import { quantizationOptions } from './quantization-options.ts'
import { measureSquares } from './statistics/channels.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...quantizationOptions,
    signed_scales: {
      type: 'boolean',
      default: true,
      description:
        'Allows negative scales, which put the larger end of a group on the larger end of the codes; symmetric weight-only schemes below eight bits. Not in llm-compressor.',
    },
  },
} as const

type Options = FromSchema<typeof schema>

/** Rounding to nearest: every weight moves to the closest point of its group's grid. The baseline that the others must beat. */
export const modifier: ModifierDefinition<Options> = {
  names: ['QuantizationModifier', 'rtn'],
  description: 'Rounds every weight to the nearest point of its grid; needs no data, but for stored ranges of activations.',
  schema,
  quantizes: true,
  needs: ({ kv_cache_scheme: cache }, schemes) => (cache || schemes.some(needsInputs) ? 'inputs' : 'weights'),
  create: ({ signed_scales: signed = true }) => ({
    async apply(stage, targets) {
      const importance = stage.hasInputs ? await measureSquares(stage) : null
      const globalScale = stageGlobalScale([...targets].flatMap(([{ weight }, { weights: args }]) => (args ? [{ weight, args }] : [])))
      // All at once: what one does in this thread goes on beside the kernels' work for another.
      await Promise.all(
        [...targets].map(([linear, scheme]) =>
          scheme.weights ? round(stage, linear, scheme, scheme.weights, { importance, globalScale, signed }) : null,
        ),
      )
    },
  }),
}

async function round(stage: Stage, linear: Linear, scheme: QuantizationScheme, args: QuantizationArgs, shared: GridOptions): Promise<void> {
  const started = performance.now()
  const { name, weight } = linear
  const { quantized, error } = await roundWeight(stage.kernels, linear, scheme, args, shared, stage.memory)
  // A weight that is not finite shows in the error; which one it is, is asked only then.
  if (!Number.isFinite(error)) assertFinite(weight, `${name}.weight`)
  linear.quantized = quantized
  linear.report = {
    name,
    method: 'RTN',
    scheme: schemeLabel(scheme),
    error,
    errorOf: 'weights',
    seconds: (performance.now() - started) / 1000,
  }
}
