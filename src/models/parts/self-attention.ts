import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import { toFloat32 } from '../../engine/bfloat16.ts'
import { reshape, split } from '../../engine/either-ops.ts'
import type { LayerWalk, LinearSpec, ParameterSpec, StageSpec } from '../architecture.ts'
import { type AttentionShape, attend, rotationOf } from './attend.ts'
import type { Norm } from './norm.ts'
import type { Part, PartMaker, Place, Scope, Table } from './part.ts'
import { causalMask, type RotaryTables } from './tables.ts'

/** Queries, keys and values from one linear. */
export interface FusedProjection {
  readonly name: string
  /**
   * Its rows: all queries, then all keys, then all values (`blocks`); or for one key-value head after the other its queries, its key and its
   * value (`groups`).
   */
  readonly order: 'blocks' | 'groups'
}

/** How a family's self-attention differs; what is left out is as in Llama. */
export interface SelfAttentionSpec extends AttentionShape {
  readonly hidden: number
  /** The module's name below the layer: `self_attn`. */
  readonly module?: string
  /** Names of the linears below the module: `q_proj` and so on. */
  readonly names?: { readonly q?: string; readonly k?: string; readonly v?: string; readonly o?: string }
  readonly fused?: FusedProjection
  readonly bias?: { readonly q?: boolean; readonly k?: boolean; readonly v?: boolean; readonly o?: boolean }
  /** Weights are stored [columns, rows]. */
  readonly transposed?: boolean
  /** Null where positions are not rotated. */
  readonly rotary: RotaryTables | null
  /** Causal where it is left out. */
  readonly mask?: Table
  /** Norms of queries and keys before they are rotated. */
  readonly queryNorm?: Norm
  readonly keyNorm?: Norm
  /** A parameter [heads] below the module. */
  readonly sinks?: string
  readonly afterRotation?: (x: Tensor3D, of: 'queries' | 'keys', scope: Scope) => Tensor3D
  /** Tables that `afterRotation` reads. */
  readonly tables?: readonly Table[]
}

/** All biases or none. */
export function biases(all: boolean): NonNullable<SelfAttentionSpec['bias']> {
  return { q: all, k: all, v: all, o: all }
}

/** Self-attention with projections: `q_proj`, `k_proj`, `v_proj` or one that makes all three, then `o_proj`. */
export function selfAttention(spec: SelfAttentionSpec): PartMaker {
  const mask = spec.mask ?? causalMask()
  return (place) => partOf(spec, mask, place)
}

function partOf(spec: SelfAttentionSpec, mask: Table, { source, addsToResidual }: Place): Part {
  const { heads, kvHeads, headDim, valueDim = headDim, hidden, bias = {}, module = 'self_attn', rotary, fused } = spec
  const { q = 'q_proj', k = 'k_proj', v = 'v_proj', o = 'o_proj' } = spec.names ?? {}
  const linear = (name: string, rows: number, columns: number, hasBias = false): LinearSpec => ({
    name: `${module}.${name}`,
    rows,
    columns,
    bias: hasBias,
    ...(spec.transposed && { transposed: true }),
  })
  const projections = fused
    ? [linear(fused.name, (heads + kvHeads) * headDim + kvHeads * valueDim, hidden, bias.q)]
    : [
        linear(q, heads * headDim, hidden, bias.q),
        linear(k, kvHeads * headDim, hidden, bias.k),
        linear(v, kvHeads * valueDim, hidden, bias.v),
      ]
  const output = linear(o, hidden, heads * valueDim, bias.o)
  const inputs: StageSpec = { name: 'attention inputs', linears: projections.map(({ name }) => name), source, addsToResidual: false }
  const outputs: StageSpec = {
    name: 'attention output',
    linears: [output.name],
    source: fused
      ? { kind: 'linear', name: `${module}.${fused.name}`, rows: valueRows(spec, fused.order) }
      : { kind: 'linear', name: `${module}.${v}` },
    addsToResidual,
  }
  const sinks: ParameterSpec[] = spec.sinks ? [{ name: `${module}.${spec.sinks}`, shape: [heads] }] : []

  function* run(input: Tensor2D, scope: Scope, keep: readonly Tensor[], residual?: Tensor2D): LayerWalk {
    const projected = yield { stage: inputs, input, keep, mayBeRounded: true }
    const [queries, keys, values] = fused ? splitFused(projected[0], spec, fused.order) : projected
    const rotation = rotary && rotationOf(rotary, scope)
    const mixed = yield* attend(
      spec.queryNorm?.apply(toFloat32(queries), scope) ?? queries,
      spec.keyNorm?.apply(toFloat32(keys), scope) ?? keys,
      values,
      spec,
      {
        rotation,
        mask: scope.table(mask),
        ...(spec.sinks && { sinks: scope.parameter(`${module}.${spec.sinks}`) }),
        afterRotation: (x, of) => spec.afterRotation?.(x, of, scope) ?? x,
      },
      scope.batch,
      scope.hooks,
      keep,
    )
    const [out] = yield { stage: outputs, input: mixed, keep, ...(residual && { residual }) }
    return out
  }

  return {
    stages: [inputs, outputs],
    linears: [...projections, output],
    parameters: [...(spec.queryNorm?.parameters ?? []), ...(spec.keyNorm?.parameters ?? []), ...sinks],
    tables: [mask, ...(rotary ? [rotary.cos, rotary.sin] : []), ...(spec.tables ?? [])],
    run,
  }
}

/** The rows of the values in the linear that makes queries, keys and values. */
function valueRows({ heads, kvHeads, headDim, valueDim = headDim }: AttentionShape, order: FusedProjection['order']): number[] {
  const before = (heads / kvHeads + 1) * headDim
  return Array.from({ length: kvHeads * valueDim }, (_, row) => {
    if (order === 'blocks') return kvHeads * before + row
    return Math.floor(row / valueDim) * (before + valueDim) + before + (row % valueDim)
  })
}

/** Queries, keys and values [tokens, ...] out of what one linear makes. */
function splitFused(
  x: Tensor2D,
  { heads, kvHeads, headDim, valueDim = headDim }: AttentionShape,
  order: FusedProjection['order'],
): [Tensor2D, Tensor2D, Tensor2D] {
  const tokens = x.shape[0]
  const perGroup = [(heads / kvHeads) * headDim, headDim, valueDim]
  if (order === 'blocks')
    return split(
      x,
      perGroup.map((size) => size * kvHeads),
      1,
    ) as [Tensor2D, Tensor2D, Tensor2D]
  const groups = split(reshape<Tensor2D>(x, [tokens * kvHeads, -1]), perGroup, 1)
  return groups.map((part) => reshape(part, [tokens, -1])) as [Tensor2D, Tensor2D, Tensor2D]
}
