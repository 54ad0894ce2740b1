import type { FromSchema } from 'json-schema-to-ts'
import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { type Grid, minMaxGrid } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { UserError } from '../util/errors.ts'
import { activationOrder, dampedFactor, diagonal, type Factor, type Hessian, measureHessian, outputErrors } from './hessian.ts'
import type { Linear, LinearReport, Modifier, ModifierDefinition, Stage } from './modifier.ts'
import { quantizationOptions } from './quantization-options.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...quantizationOptions,
    dampening_frac: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 0.01,
      description: 'Added to the diagonal of the Hessian, as a fraction of its mean; raised step by step where that does not suffice.',
    },
    actorder: {
      enum: ['static', 'weight', 'none', 'group', null],
      default: 'static',
      description: 'Order of rounding: static (or weight) starts with the columns that matter most, none or null keeps the natural order.',
    },
    block_size: {
      type: 'integer',
      minimum: 1,
      default: 128,
      description: 'Columns per lazy update. Accepted for compatibility: the kernels give the same codes for every block size.',
    },
    batched_quantization: {
      anyOf: [{ type: 'integer', minimum: 1 }, { const: 'auto' }, { type: 'null' }],
      description: 'Accepted for compatibility: linears of one stage share their Hessian here and need no batching.',
    },
  },
} as const

type Options = FromSchema<typeof schema>

/** GPTQ (arXiv 2210.17323): rounds column by column and lets the columns not yet rounded make up for each error. */
export const modifier: ModifierDefinition<Options> = {
  names: ['GPTQModifier', 'gptq'],
  description: 'Rounds column by column and corrects the columns that follow, weighing errors by calibration inputs (arXiv 2210.17323).',
  schema,
  quantizes: true,
  needs: () => 'inputs',
  refuses: ({ weights }) =>
    weights && (weights.type !== 'int' || weights.strategy === 'block')
      ? 'GPTQ rounds to integers with channel or group scales in this version; use QuantizationModifier for float8 and block scales'
      : null,
  completes: ({ actorder }, scheme) => ({ ...scheme, weights: scheme.weights && withOrder(scheme.weights, actorder) }),
  create: ({ dampening_frac = 0.01 }) => gptq(dampening_frac),
}

function withOrder(args: QuantizationArgs, actorder: Options['actorder']): QuantizationArgs {
  if (actorder === 'group') {
    throw new UserError(
      'Cannot use actorder "group": current compressed-tensors refuses the g_idx that it stores, expected "static" (the same gain, nothing stored) or null.',
    )
  }
  const wanted = actorder === 'none' || actorder === null ? null : 'static'
  if (args.actorder && !wanted) {
    throw new UserError(`Cannot use actorder null: the scheme says "${args.actorder}", expected the same in both places.`)
  }
  return { ...args, actorder: wanted }
}

function gptq(dampening: number): Modifier {
  return {
    async apply(stage, targets) {
      const started = performance.now()
      const hessian = await measureHessian(stage)
      const factors = new Map<boolean, { order: Int32Array; factor: Factor | null }>()
      const dead = diagonal(hessian).filter((value) => value === 0).length
      for (const [linear, scheme] of targets) {
        const args = scheme.weights
        if (!args) continue
        const ordered = args.actorder !== null
        const { order, factor } = factors.get(ordered) ?? (await factorFor(stage, hessian, ordered, dampening))
        factors.set(ordered, { order, factor })
        stage.signal.throwIfAborted()
        linear.report = {
          ...(await compress(stage, linear, scheme, args, hessian, order, factor)),
          seconds: 0,
          ...(dead > 0 && { deadColumns: dead }),
        }
      }
      // The Hessian and its factor serve all linears of the stage: each is charged by its share of the rows.
      const reports = [...targets.keys()].flatMap(({ report, rows }) => (report ? [{ report, rows }] : []))
      const rows = reports.reduce((sum, entry) => sum + entry.rows, 0)
      const seconds = (performance.now() - started) / 1000
      for (const entry of reports) entry.report.seconds = (seconds * entry.rows) / rows
    },
  }
}

async function factorFor(stage: Stage, hessian: Hessian, ordered: boolean, dampening: number) {
  const order = ordered ? activationOrder(hessian) : Int32Array.from({ length: hessian.n }, (_, j) => j)
  return { order, factor: await dampedFactor(stage, hessian, order, dampening) }
}

async function compress(
  stage: Stage,
  linear: Linear,
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  hessian: Hessian,
  order: Int32Array,
  factor: Factor | null,
): Promise<Omit<LinearReport, 'seconds'>> {
  const { name, weight, rows, columns, dtype } = linear
  assertFinite(weight, `${name}.weight`)
  const grid = minMaxGrid(weight, rows, columns, args, dtype)
  const rounded = quantizeToGrid(weight, rows, columns, args, grid, dtype)
  linear.quantized = factor ? await sweep(stage, linear, args, grid, order, factor) : rounded
  const errors = [weight, difference(linear.quantized, weight), difference(rounded, weight)]
  const [total, error, rtnError] = outputErrors(hessian, errors)
  return {
    name,
    method: factor ? 'GPTQ' : 'RTN',
    scheme: schemeLabel(scheme),
    error: total > 0 ? error / total : 0,
    rtnError: total > 0 ? rtnError / total : 0,
    errorOf: 'outputs',
    ...(factor ? { damping: factor.damping } : { fallback: 'RTN: the Hessian is not positive definite at any damping' }),
  }
}

function difference(quantized: Quantized, weight: Float32Array): Float32Array {
  const error = dequantize(quantized)
  for (let i = 0; i < error.length; i++) error[i] -= weight[i]
  return error
}

async function sweep(
  stage: Stage,
  { weight, rows, columns, dtype }: Linear,
  args: QuantizationArgs,
  grid: Grid,
  order: Int32Array,
  factor: Factor,
): Promise<Quantized> {
  const groupSize = args.strategy === 'group' && args.group_size ? args.group_size : columns
  const groups = columns / groupSize
  const perRow = grid.scale.length === rows * groups
  const result = await stage.kernels.sweep({
    rows,
    columns,
    weight: permuteColumns(weight, rows, columns, order),
    factor: factor.values,
    // One scale for the whole tensor is the same scale for every row.
    scale: perRow ? grid.scale : new Float32Array(rows).fill(grid.scale[0]),
    zeroPoint: perRow || !grid.zeroPoint ? grid.zeroPoint : new Int8Array(rows).fill(grid.zeroPoint[0]),
    groups,
    // A column keeps the scale of its original group, so that no order has to be stored.
    groupOf: order.map((column) => Math.floor(column / groupSize)),
    min: -(2 ** (args.num_bits - 1)),
    max: 2 ** (args.num_bits - 1) - 1,
  })
  const codes = new Int8Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let j = 0; j < columns; j++) codes[base + order[j]] = result.codes[base + j]
  }
  return { args, rows, columns, codes, ...grid, scaleDtype: dtype }
}

function permuteColumns(weight: Float32Array, rows: number, columns: number, order: Int32Array): Float32Array {
  const out = new Float32Array(weight.length)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let j = 0; j < columns; j++) out[base + j] = weight[base + order[j]]
  }
  return out
}
