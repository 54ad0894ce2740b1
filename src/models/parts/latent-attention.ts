import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { LayerWalk, LinearSpec, StageSource, StageSpec } from '../architecture.ts'
import { attend, rotationOf } from './attend.ts'
import { type Norm, norm } from './norm.ts'
import type { Part, PartMaker, Place, Scope } from './part.ts'
import { causalMask, type RotaryTables } from './tables.ts'

/** Sizes of multi-head latent attention. */
export interface LatentAttentionSpec {
  readonly hidden: number
  readonly heads: number
  /** Width of the queries' latent; null where they are projected at once. */
  readonly queryRank: number | null
  readonly valueRank: number
  /** Channels of a query or key head that are not rotated, those that are, and those of a value head. */
  readonly plainDim: number
  readonly rotaryDim: number
  readonly valueDim: number
  readonly scale: number
  readonly bias: boolean
  readonly rotary: RotaryTables
}

/** The norms of the latents have this whatever the others have (DeepSeek's code). */
const EPSILON = 1e-6

/**
 * Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values of all heads come from one narrow latent, and one rotated key
 * is shared by all heads.
 */
export function latentAttention(spec: LatentAttentionSpec): PartMaker {
  const mask = causalMask()
  return (place) => partOf(spec, mask, place)
}

function partOf(spec: LatentAttentionSpec, mask: ReturnType<typeof causalMask>, { source, addsToResidual }: Place): Part {
  const { hidden, heads, queryRank, valueRank, plainDim, rotaryDim, valueDim, bias, rotary } = spec
  const headDim = plainDim + rotaryDim
  const linear = (name: string, rows: number, columns: number, hasBias = false): LinearSpec => ({
    name: `self_attn.${name}`,
    rows,
    columns,
    bias: hasBias,
  })
  const query = queryRank === null ? linear('q_proj', heads * headDim, hidden) : linear('q_a_proj', queryRank, hidden, bias)
  const latent = linear('kv_a_proj_with_mqa', valueRank + rotaryDim, hidden, bias)
  const queryNorm = queryRank === null ? null : norm({ epsilon: EPSILON }, 'self_attn.q_a_layernorm', queryRank)
  const queryHeads = queryRank === null ? null : linear('q_b_proj', heads * headDim, queryRank)
  const valueNorm = norm({ epsilon: EPSILON }, 'self_attn.kv_a_layernorm', valueRank)
  const valueHeads = linear('kv_b_proj', heads * (plainDim + valueDim), valueRank)
  const output = linear('o_proj', hidden, heads * valueDim, bias)
  const stage = (name: string, linears: readonly LinearSpec[], from: StageSpec['source'], adds = false): StageSpec => ({
    name,
    linears: linears.map((item) => item.name),
    source: from,
    addsToResidual: adds,
  })
  const inputs = stage('attention inputs', [query, latent], source)
  const queries = queryHeads && queryNorm ? stage('query heads', [queryHeads], innerSource(queryNorm)) : null
  const values = stage('key and value heads', [valueHeads], innerSource(valueNorm))
  const [perHead, first] = [plainDim + valueDim, plainDim]
  const rows = Array.from({ length: heads * valueDim }, (_, row) => Math.floor(row / valueDim) * perHead + first + (row % valueDim))
  const outputs = stage('attention output', [output], { kind: 'linear', name: valueHeads.name, rows }, addsToResidual)
  const norms: Norm[] = queryNorm ? [queryNorm, valueNorm] : [valueNorm]

  function* run(input: Tensor2D, scope: Scope, keep: readonly Tensor[], residual?: Tensor2D): LayerWalk {
    const [first, compressed] = yield { stage: inputs, input, keep }
    const [narrow, sharedKey] = tf.split(compressed, [valueRank, rotaryDim], 1) as [Tensor2D, Tensor2D]
    let q = first
    if (queries && queryNorm) [q] = yield { stage: queries, input: queryNorm.apply(first, scope), keep: [...keep, narrow, sharedKey] }
    const [kv] = yield { stage: values, input: valueNorm.apply(narrow, scope), keep: [...keep, q, sharedKey] }
    const { k, v } = keysAndValues(kv, sharedKey, spec)
    const shape = { heads, kvHeads: heads, headDim, valueDim, scale: spec.scale }
    const context = { rotation: rotationOf(rotary, scope), mask: scope.table(mask) }
    const mixed = yield* attend(rotaryFirst(q, spec), k, v, shape, context, scope.batch, scope.hooks, keep)
    const [out] = yield { stage: outputs, input: mixed, keep, ...(residual && { residual }) }
    return out
  }

  return {
    stages: queries ? [inputs, queries, values, outputs] : [inputs, values, outputs],
    linears: queryHeads ? [query, latent, queryHeads, valueHeads, output] : [query, latent, valueHeads, output],
    parameters: norms.flatMap(({ parameters }) => parameters),
    tables: [mask, rotary.cos, rotary.sin],
    run,
  }
}

/** The norm of a latent, which is none of the residual stream. */
function innerSource({ source }: Norm): StageSource {
  return source.kind === 'norm' ? { ...source, inner: true } : source
}

/** Query heads with the rotated channels first, where `attend` rotates; stored are the plain ones first. */
function rotaryFirst(q: Tensor2D, { plainDim, rotaryDim }: LatentAttentionSpec): Tensor2D {
  const [plain, rotary] = tf.split(tf.reshape(q, [-1, plainDim + rotaryDim]), [plainDim, rotaryDim], 1)
  return tf.reshape(tf.concat([rotary, plain], 1), q.shape)
}

/** Heads of keys, the shared channels first, and of values. kv [tokens, heads * (plainDim + valueDim)], shared [tokens, rotaryDim]. */
function keysAndValues(kv: Tensor2D, shared: Tensor2D, spec: LatentAttentionSpec): { k: Tensor2D; v: Tensor2D } {
  const { heads, plainDim, valueDim, rotaryDim } = spec
  const tokens = kv.shape[0]
  const [plain, v] = tf.split(tf.reshape(kv, [tokens, heads, plainDim + valueDim]), [plainDim, valueDim], 2)
  const repeated = tf.tile(tf.reshape(shared, [tokens, 1, rotaryDim]), [1, heads, 1])
  return { k: tf.reshape(tf.concat([repeated, plain], 2), [tokens, -1]), v: tf.reshape(v, [tokens, -1]) }
}
