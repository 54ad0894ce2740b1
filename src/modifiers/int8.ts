import type { FromSchema } from 'json-schema-to-ts'
import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { FLOAT_NAMES, type FloatName } from '../numerics/dtype-names.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { roundScales } from '../numerics/scale-dtype.ts'
import { valueStatistics } from '../numerics/value-statistics.ts'
import { bytesOf } from '../numerics/view.ts'
import { gridShape } from '../schemes/grid.ts'
import { type Grid, gridOfRanges, ranges } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid, relativeError } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Linear, ModifierDefinition } from './modifier.ts'
import { PATTERNS } from './quantization-options.ts'
import { type ActivationStatistics, measureActivations } from './statistics/activations.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    targets: { ...PATTERNS, description: 'Linears to quantize: names, patterns (re:...) or Linear; all by default.' },
    ignore: { ...PATTERNS, description: 'Linears to leave alone.' },
    symmetry_threshold: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 0.6,
      description: 'Weights are quantized symmetrically where the symmetry score of their inputs is above this.',
    },
    epsilon: { type: 'number', exclusiveMinimum: 0, default: 1e-8, description: 'Added to the standard deviation in the score.' },
    calibration_samples: {
      type: 'integer',
      minimum: 1,
      default: 100,
      description: 'Rows of calibration data, where the run does not say.',
    },
    scale_dtype: {
      enum: FLOAT_NAMES,
      description:
        'What scales are rounded to and stored as; by default the type of the weight. Servers that hold scales in the type of the model round wider ones as they load.',
    },
    strategy: {
      enum: ['channel', 'tensor'],
      default: 'channel',
      description: 'What shares a scale and a zero point: each row (which vLLM serves), or all of a linear (which it does not).',
    },
  },
} as const

type Options = FromSchema<typeof schema>

/**
 * 8-bit weights in one of two modes for each linear: symmetric codes from -127 to 127, or all 256 with a zero point. The inputs decide: how
 * far their mean is from zero, in standard deviations. Linears of one input so share their mode. Both modes are stored with a zero point, of
 * the scheme that loaders know as asymmetric: the symmetric one has zero there.
 */
export const modifier: ModifierDefinition<Options> = {
  names: ['Int8Modifier', 'int8'],
  description: 'Quantizes weights to 8 bits, symmetrically or not by the symmetry score exp(-|mean| / std) of their inputs.',
  schema,
  quantizes: true,
  needs: () => 'inputs',
  calibrationRows: ({ calibration_samples: rows = 100 }) => rows,
  schemes: ({ targets = 'Linear', ignore = [], strategy = 'channel' }) => ({
    ignore,
    config_groups: { group_0: { targets, weights: { num_bits: 8, type: 'int', symmetric: false, strategy } } },
  }),
  // What a recipe's scheme cannot say: there scales of integers have the type of the weights.
  completes: ({ scale_dtype: named }, scheme) => ({
    ...scheme,
    weights: scheme.weights && named ? { ...scheme.weights, scale_dtype: `torch.${named}` } : scheme.weights,
  }),
  create: ({ symmetry_threshold: threshold = 0.6, epsilon = 1e-8, scale_dtype: scaleDtype }) => ({
    async apply(stage, targets) {
      const inputs = await measureActivations(stage)
      const score = symmetryScore(inputs, epsilon)
      for (const [linear, scheme] of targets) {
        if (scheme.weights)
          quantize(linear, scheme.weights, schemeLabel(scheme), { inputs, score, symmetric: score > threshold, scaleDtype })
      }
    },
  }),
}

/** exp(-|mean| / (std + epsilon)): 1 where the mean is zero, towards 0 where values lie on one side of it. */
export function symmetryScore({ mean, std }: Pick<ActivationStatistics, 'mean' | 'std'>, epsilon = 1e-8): number {
  return Math.exp(-Math.abs(mean) / (std + epsilon))
}

interface Mode {
  readonly inputs: ActivationStatistics
  readonly score: number
  readonly symmetric: boolean
  readonly scaleDtype: FloatName | undefined
}

function quantize(linear: Linear, args: QuantizationArgs, label: string, mode: Mode): void {
  const started = performance.now()
  const { name, weight, rows, columns, dtype } = linear
  assertFinite(weight, `${name}.weight`)
  const shape = gridShape(args, rows, columns)
  const { low, high } = ranges(weight, rows, columns, shape)
  const grid = mode.symmetric
    ? symmetricGrid(low, high, shape.scaleShape, linear)
    : gridOfRanges(low, high, shape.scaleShape, args, dtype, null)
  assertScales(grid, name)
  const quantized = quantizeToGrid(weight, rows, columns, args, grid)
  if (mode.symmetric) clipLowest(quantized)
  linear.quantized = quantized
  const { min, max, mean, std } = valueStatistics(weight)
  linear.report = {
    ...{ name, method: 'INT8', scheme: label, error: relativeError(weight, dequantize(quantized)), errorOf: 'weights' },
    seconds: (performance.now() - started) / 1000,
    int8: {
      mode: mode.symmetric ? 'symmetric' : 'asymmetric',
      score: mode.score,
      inputs: mode.inputs,
      weight: { min, max, mean, std },
      ...stored(quantized, mode),
      ...(mode.scaleDtype && { scaleDtype: mode.scaleDtype }),
    },
  }
}

/** Errors: CheckpointError naming the tensor for a scale beyond the type it is stored in, which float16 is for large weights. */
function assertScales({ scale, scaleDtype }: Grid, name: string): void {
  const beyond = firstNonFinite(bytesOf(scale), 'F32')
  if (beyond < 0) return
  const tensor = `${name}.weight`
  const message = `Cannot quantize ${tensor}: its scale ${beyond} is beyond ${scaleDtype}, expected scales that it can hold; scale_dtype: float32 holds all`
  throw new CheckpointError(message, { tensor })
}

/** Scales of the largest magnitude over 127, and zero points of zero. */
function symmetricGrid(low: Float32Array, high: Float32Array, scaleShape: readonly number[], { dtype }: Linear): Grid {
  const largest = low.map((value, tile) => Math.max(-value, high[tile]))
  // As if codes went from -127 to 127, which is what they do: 254 steps over twice the magnitude.
  const scale = largest.map((value) => value / SYMMETRIC_MAX)
  roundScales(scale, dtype)
  return { scale, scaleShape, scaleDtype: dtype, zeroPoint: new Int8Array(scale.length), globalScale: null }
}

const SYMMETRIC_MAX = 127

/** A scale that was rounded down would take the largest magnitude to -128. */
function clipLowest({ codes }: Quantized): void {
  for (let i = 0; i < codes.length; i++) if (codes[i] < -SYMMETRIC_MAX) codes[i] = -SYMMETRIC_MAX
}

/** Codes as they are counted in each mode: asymmetric ones from 0 to 255, with their zero point. */
function stored({ codes, scale, zeroPoint }: Quantized, { symmetric }: Mode) {
  const shift = symmetric ? 0 : 128
  let [min, max] = [Infinity, -Infinity]
  for (let i = 0; i < codes.length; i++) {
    if (codes[i] < min) min = codes[i]
    if (codes[i] > max) max = codes[i]
  }
  const zeroPoints = [...(zeroPoint ?? [])].map((value) => value + shift)
  return {
    scale: rangeOf([...scale]),
    zeroPoint: symmetric ? null : rangeOf(zeroPoints),
    codes: { min: min + shift, max: max + shift },
  }
}

/** The smallest and largest of what rows have; the same twice where there is one for all. */
function rangeOf(values: readonly number[]): { min: number; max: number } {
  return { min: values.reduce((a, b) => Math.min(a, b)), max: values.reduce((a, b) => Math.max(a, b)) }
}
