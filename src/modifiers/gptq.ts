import type { FromSchema } from 'json-schema-to-ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { stageGlobalScale } from '../schemes/qparams.ts'
import { assertFinite } from '../schemes/quantize.ts'
import { UserError } from '../util/errors.ts'
import { span } from '../util/span.ts'
import { compressLinears } from './gptq/compress.ts'
import { inputTarget } from './gptq/input-target.ts'
import { type Levers, leverOptions, leversOf } from './gptq/quality.ts'
import { residualTarget } from './gptq/residual-target.ts'
import { aim, type Target } from './gptq/target.ts'
import type { Task } from './gptq/task.ts'
import type { Modifier, ModifierDefinition, Stage } from './modifier.ts'
import { quantizationOptions } from './quantization-options.ts'
import { activationOrder, dampedFactor, type Factor } from './statistics/hessian.ts'
import { type Hessian, type MomentsRequest, measureMoments, type StageMoments } from './statistics/moments.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...quantizationOptions,
    ...leverOptions,
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
    hold_back: {
      type: 'boolean',
      default: true,
      description:
        'Fits to fifteen of sixteen calibration rows and judges by the sixteenth: errors are reported for both, and targets go no further than it bears out. Not in llm-compressor.',
    },
    block_size: {
      type: 'integer',
      minimum: 1,
      default: 128,
      description:
        'Columns per lazy update. Accepted for compatibility: how columns are cut into blocks is decided here, and changes codes by rounding alone.',
    },
    batched_quantization: {
      anyOf: [{ type: 'integer', minimum: 1 }, { const: 'auto' }, { type: 'null' }],
      description: 'Accepted for compatibility: linears of one stage share their Hessian here and need no batching.',
    },
  },
} as const

type Options = FromSchema<typeof schema>

/**
 * GPTQ (arXiv 2210.17323): rounds column by column, to integers or floats with any scales, and lets the columns not yet rounded make up for
 * each error.
 */
export const modifier: ModifierDefinition<Options> = {
  names: ['GPTQModifier', 'gptq'],
  description: 'Rounds column by column and corrects the columns that follow, weighing errors by calibration inputs (arXiv 2210.17323).',
  schema,
  quantizes: true,
  secondMoments: true,
  needs: (options) => {
    const { inputTarget, residualTarget } = leversOf(options)
    return inputTarget > 0 || residualTarget > 0 ? 'originals' : 'inputs'
  },
  completes: ({ actorder }, scheme) => ({ ...scheme, weights: scheme.weights && withOrder(scheme.weights, actorder) }),
  create: (options) => gptq(options.dampening_frac ?? 0.01, options.hold_back ?? true, leversOf(options)),
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

function gptq(dampening: number, holdBack: boolean, levers: Levers): Modifier {
  return {
    async apply(stage, targets) {
      const started = performance.now()
      const goal = goalOf(stage, levers)
      const schemes = [...targets.values()].flatMap(({ weights }) => weights ?? [])
      const { moments, factors } = await measure(stage, { holdBack, view: goal?.target ?? null }, schemes, dampening)
      const dead = moments.fitted.hessian.matrix.diagonal().filter((value) => value === 0).length
      const members: Member[] = []
      for (const [linear, scheme] of targets) {
        const { name, weight } = linear
        const args = scheme.weights
        if (!args) continue
        assertFinite(weight, `${name}.weight`)
        members.push({ linear, scheme, args, factor: factors.get(args.actorder !== null) ?? null, weight, target: null })
      }
      if (goal) await aimAt(goal, members, moments)
      // What servers fuse shares a global scale, so nothing is rounded before it is known what all linears of the stage aim at.
      const globalScale = stageGlobalScale(members)
      const plainGlobalScale = stageGlobalScale(members.map(({ linear: { weight }, args }) => ({ weight, args })))
      const shared = { stage, moments, levers, globalScale, plainGlobalScale }
      await compressLinears(members.map((member) => ({ ...shared, ...member })))
      for (const { linear } of members) {
        const { report } = linear
        if (report && dead > 0) report.deadColumns = dead
        if (report?.damping !== undefined && report.damping > dampening) report.dampingAsked = dampening
      }
      // The moments and their factor serve all linears of the stage: each is charged by its share of the rows.
      const reports = [...targets.keys()].flatMap(({ report, rows }) => (report ? [{ report, rows }] : []))
      const rows = reports.reduce((sum, entry) => sum + entry.rows, 0)
      const seconds = (performance.now() - started) / 1000
      for (const entry of reports) entry.report.seconds = (seconds * entry.rows) / rows
    },
  }
}

/** What the linears of a stage should aim at instead of their original outputs, and how far they may go. */
interface Goal {
  readonly target: Target
  readonly most: number
}

/** Null where nothing but the original outputs is wanted. */
function goalOf(stage: Stage, levers: Levers): Goal | null {
  const choice = stage.addsToResidual
    ? { target: residualTarget(stage.linears[0].bias), most: levers.residualTarget }
    : { target: inputTarget, most: levers.inputTarget }
  return choice.most > 0 ? choice : null
}

/** A linear of the stage, and what of it is rounded. */
interface Member extends Pick<Task, 'linear' | 'scheme' | 'args' | 'factor'> {
  weight: Task['weight']
  target: Task['target']
}

/** Has those members that have a factor round what the goal makes of their weights. */
async function aimAt({ target, most }: Goal, members: readonly Member[], moments: StageMoments): Promise<void> {
  for (const factor of new Set(members.flatMap((member) => member.factor ?? []))) {
    const own = members.filter((member) => member.factor === factor)
    const weights = own.map(({ weight }) => weight)
    const aimed = await span('step', 'target', () => aim(target, weights, moments, factor, most))
    for (const [i, { weight, step }] of aimed.entries()) {
      own[i].weight = weight
      own[i].target = { kind: target.kind, step }
    }
  }
}

/** What a stage's inputs tell, and its factor in each order that the schemes ask for. */
interface Measured {
  readonly moments: StageMoments
  /** By whether columns are ordered. */
  readonly factors: ReadonlyMap<boolean, Factor | null>
}

/** Measured once more in float32 where sums in lower precision would be factored with more damping than was asked for. */
async function measure(stage: Stage, request: MomentsRequest, schemes: readonly QuantizationArgs[], dampening: number): Promise<Measured> {
  const moments = await measureMoments(stage, request)
  const factors = new Map<boolean, Factor | null>()
  for (const ordered of new Set(schemes.map(({ actorder }) => actorder !== null))) {
    const { hessian } = moments.fitted
    const factor = await dampedFactor(stage, hessian, ordered ? activationOrder(hessian) : naturalOrder(hessian), dampening)
    if (moments.rounded && factor?.damping !== dampening) return measure(stage, { ...request, exact: true }, schemes, dampening)
    factors.set(ordered, factor)
  }
  return { moments, factors }
}

function naturalOrder({ n }: Hessian): Int32Array {
  return Int32Array.from({ length: n }, (_, j) => j)
}
