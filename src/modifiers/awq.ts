import type { FromSchema } from 'json-schema-to-ts'
import { SchemeError } from '../schemes/scheme-error.ts'
import { channelFactors, type DuoScaling, gridPoints, meanWeights } from './awq/grid.ts'
import { outputPower, roundingLosses } from './awq/rounding-loss.ts'
import { bestFactors } from './awq/search.ts'
import type { Mapping, Modifier, ModifierDefinition } from './modifier.ts'
import { measureMagnitudes } from './statistics/channels.ts'
import { measureHessian } from './statistics/hessian.ts'

/** Options of llm-compressor's first AWQModifier, which also quantized. */
const ELSEWHERE = ['scheme', 'targets', 'ignore', 'config_groups'] as const

const elsewhere = { description: 'Not here: an option of the quantizing modifier that follows, such as QuantizationModifier.' } as const

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    mappings: {
      anyOf: [
        {
          type: 'array',
          minItems: 1,
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['smooth_layer', 'balance_layers'],
            properties: {
              smooth_layer: { type: 'string', description: 'The module that the inputs come from.' },
              balance_layers: { type: 'array', items: { type: 'string' }, minItems: 1, description: 'All linears that read them.' },
              activation_hook_target: {
                type: ['string', 'null'],
                description: 'Accepted for compatibility: the inputs of the linears themselves are measured.',
              },
            },
          },
        },
        { type: 'null' },
      ],
      description: 'What to rescale; left out: all linears that read a norm or, channel by channel, another linear.',
    },
    duo_scaling: {
      enum: [true, false, 'both'],
      default: true,
      description: 'true: factors from inputs and weights; false: from inputs alone; both: half of the grid each.',
    },
    n_grid: { type: 'integer', minimum: 2, maximum: 1000, default: 20, description: 'Factors to try for each stage.' },
    offload_device: { type: ['string', 'null'], description: 'Accepted for compatibility, and of no effect.' },
    requires_calibration_data: { type: 'boolean', description: 'Accepted because llm-compressor writes it into its recipe.yaml.' },
    scheme: elsewhere,
    targets: elsewhere,
    ignore: elsewhere,
    config_groups: elsewhere,
  },
} as const

type Options = FromSchema<typeof schema>

/** AWQ (arXiv 2306.00978): scales the input channels that matter up before rounding, by the factors that a search finds best. */
export const modifier: ModifierDefinition<Options> = {
  names: ['AWQModifier', 'awq'],
  description:
    'Scales up the weights of input channels that matter, so that rounding by the modifier after it costs less (arXiv 2306.00978).',
  schema,
  quantizes: false,
  secondMoments: true,
  rescales: {
    sources: ['norm', 'linear'],
    forQuantizer: true,
    mappings: (options) => {
      requireOwnOptions(options)
      return (
        options.mappings?.map(
          ({ smooth_layer, balance_layers }, i): Mapping => ({ balance: balance_layers, smooth: smooth_layer, path: ['mappings', i] }),
        ) ?? null
      )
    },
    ignore: () => [],
  },
  needs: () => 'inputs',
  refuses: ({ weights }, options) =>
    weights?.strategy === 'tensor' && options?.duo_scaling !== false
      ? 'duo_scaling compares weights that share a scale, and here all do; expected duo_scaling: false, or channel, group or block scales'
      : null,
  create: ({ duo_scaling = true, n_grid = 20 }) => awq(duo_scaling as DuoScaling, n_grid),
}

/** Errors: SchemeError for an option that belongs to the quantizing modifier. */
function requireOwnOptions(options: Options): void {
  const found = ELSEWHERE.find((name) => options[name] !== undefined)
  if (found === undefined) return
  throw new SchemeError(
    `Cannot use AWQModifier with ${found}: it rescales and does not quantize, expected ${found} on a QuantizationModifier after it`,
    [found],
  )
}

function awq(duoScaling: DuoScaling, count: number): Modifier {
  return {
    async apply(stage, targets) {
      const meanMagnitude = await measureMagnitudes(stage)
      const hessian = await measureHessian(stage)
      const weights = meanWeights(targets)
      const candidates = gridPoints(duoScaling, count).map((point) => channelFactors(point, meanMagnitude, weights))
      const outputs = await outputPower(hessian, targets)
      const { factors, before } = await bestFactors(stage, hessian, targets, candidates)
      let after = before
      if (factors) {
        // The source rounds to the type that it is stored in: what it really divides by is what counts.
        const divisors = await stage.rescaleInputs(factors)
        const [loss] = await roundingLosses(stage, hessian, targets, [{ factors: null, divisors }])
        if (loss < before) after = loss
        else await stage.rescaleInputs(divisors.map((divisor) => 1 / divisor))
      }
      const relative = (loss: number) => (outputs > 0 ? loss / outputs : 0)
      const report = { by: 'AWQ', lossBefore: relative(before), lossAfter: relative(after) }
      for (const linear of stage.linears) linear.rescaled = [...(linear.rescaled ?? []), report]
    },
  }
}
