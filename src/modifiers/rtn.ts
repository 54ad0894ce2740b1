import type { FromSchema } from 'json-schema-to-ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { observedGrid } from '../schemes/observed-grid.ts'
import { needsInputs } from '../schemes/observers.ts'
import { type Grid, minMaxGrid, sharedGlobalScale } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid, relativeError } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { RATIOS12, searchGrid } from '../schemes/search-grid.ts'
import { measureChannels } from './channel-statistics.ts'
import type { Linear, ModifierDefinition, Stage } from './modifier.ts'
import { allowsSignedScales, isSearched } from './quality.ts'
import { quantizationOptions } from './quantization-options.ts'

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
      const importance = stage.hasInputs ? (await measureChannels(stage)).meanSquare : null
      const globalScale = sharedScale(targets)
      for (const [linear, scheme] of targets) {
        if (scheme.weights) await round(stage, linear, scheme, scheme.weights, { importance, globalScale, signed })
      }
    },
  }),
}

/** What the linears of a stage share. */
interface Shared {
  /** [columns] mean square of the inputs; null in runs without data. */
  readonly importance: Float32Array | null
  /** NVFP4: servers fuse the linears of a stage into one matrix, which has one global scale. */
  readonly globalScale: number | null
  readonly signed: boolean
}

function sharedScale(targets: ReadonlyMap<Linear, QuantizationScheme>): number | null {
  const fused = [...targets].filter(([, { weights }]) => weights?.strategy === 'tensor_group')
  return fused.length > 0 ? sharedGlobalScale(fused.map(([{ weight }]) => weight)) : null
}

async function round(stage: Stage, linear: Linear, scheme: QuantizationScheme, args: QuantizationArgs, shared: Shared): Promise<void> {
  const started = performance.now()
  const { name, weight, rows, columns } = linear
  assertFinite(weight, `${name}.weight`)
  linear.quantized = quantizeToGrid(weight, rows, columns, args, await gridOf(stage, linear, scheme, args, shared))
  linear.report = {
    name,
    method: 'RTN',
    scheme: schemeLabel(scheme),
    error: relativeError(weight, dequantize(linear.quantized)),
    errorOf: 'weights',
    seconds: (performance.now() - started) / 1000,
  }
}

/** As the observer that the recipe names finds it; where it names none and bits are few, the scales of least error. */
async function gridOf(
  { kernels }: Stage,
  { weight, rows, columns, dtype }: Linear,
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  { importance, globalScale, signed }: Shared,
): Promise<Grid> {
  if (isSearched(args)) {
    const search = { ratios: RATIOS12, signed: signed && allowsSignedScales(scheme), importance, norm: 2 }
    return searchGrid(kernels, weight, rows, columns, args, dtype, search)
  }
  return args.observer === null
    ? minMaxGrid(weight, rows, columns, args, dtype, globalScale)
    : observedGrid(kernels, weight, rows, columns, args, dtype, importance, globalScale)
}
