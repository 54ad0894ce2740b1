import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { multiply, split } from '../../engine/either-ops.ts'
import type { LayerWalk, LinearSpec, StageSource, StageSpec } from '../architecture.ts'
import { type Activation, silu } from './activations.ts'
import type { PartMaker, Scope } from './part.ts'

/** How a family's MLP differs; what is left out is as in Llama. */
export interface MlpSpec {
  readonly hidden: number
  readonly inner: number
  /** The module's name below the layer: `mlp`; empty where the linears are the layer's own. */
  readonly module?: string
  readonly activation?: Activation
  readonly bias?: boolean
  /** Weights are stored [columns, rows]. */
  readonly transposed?: boolean
}

interface Names {
  readonly gate?: string
  readonly up?: string
  readonly down?: string
}

/** down(activation(gate(x)) * up(x)), a gated MLP (arXiv 2002.05202). */
export function gatedMlp(spec: MlpSpec & { readonly names?: Names }): PartMaker {
  const { gate = 'gate_proj', up = 'up_proj', down = 'down_proj' } = spec.names ?? {}
  const { activation = silu } = spec
  return mlp(
    spec,
    [gate, up].map((name) => ({ name, rows: spec.inner })),
    down,
    // Before `down` each channel of `up` is multiplied by the gate's: its rows can be rescaled.
    { name: up },
    ([gated, raised]) => multiply(activation.apply(gated), raised),
    activation.takesBfloat16,
  )
}

/** The gated MLP with gate and up in one linear, the gate first. */
export function fusedGatedMlp(spec: MlpSpec & { readonly names?: { readonly gateUp?: string; readonly down?: string } }): PartMaker {
  const { gateUp = 'gate_up_proj', down = 'down_proj' } = spec.names ?? {}
  const { activation = silu } = spec
  const rows = Array.from({ length: spec.inner }, (_, row) => spec.inner + row)
  return mlp(
    spec,
    [{ name: gateUp, rows: 2 * spec.inner }],
    down,
    { name: gateUp, rows },
    ([both]) => {
      const [gated, raised] = split(both, [spec.inner, spec.inner], 1)
      return multiply(activation.apply(gated), raised)
    },
    activation.takesBfloat16,
  )
}

/** down(activation(up(x))). */
export function plainMlp(spec: MlpSpec & { readonly names: { readonly up: string; readonly down: string } }): PartMaker {
  const { up, down } = spec.names
  const { activation = silu } = spec
  return mlp(spec, [{ name: up, rows: spec.inner }], down, activation.homogeneous ? { name: up } : null, ([raised]) =>
    activation.apply(raised),
  )
}

function mlp(
  { hidden, inner, module = 'mlp', bias = false, transposed }: MlpSpec,
  first: readonly { name: string; rows: number }[],
  last: string,
  source: { readonly name: string; readonly rows?: readonly number[] } | null,
  between: (outputs: readonly Tensor2D[]) => Tensor2D,
  mayBeRounded?: true,
): PartMaker {
  const full = (name: string) => (module === '' ? name : `${module}.${name}`)
  const linear = (name: string, rows: number, columns: number): LinearSpec => ({
    name: full(name),
    rows,
    columns,
    bias,
    ...(transposed && { transposed: true }),
  })
  const inputLinears = first.map(({ name, rows }) => linear(name, rows, hidden))
  const innerSource: StageSource | null = source === null ? null : { kind: 'linear', ...source, name: full(source.name) }
  return (place) => {
    const inputs: StageSpec = {
      name: 'mlp inputs',
      linears: inputLinears.map(({ name }) => name),
      source: place.source,
      addsToResidual: false,
    }
    const output: StageSpec = { name: 'mlp output', linears: [full(last)], source: innerSource, addsToResidual: place.addsToResidual }
    return {
      stages: [inputs, output],
      linears: [...inputLinears, linear(last, hidden, inner)],
      parameters: [],
      tables: [],
      *run(input: Tensor2D, _: Scope, keep: readonly Tensor[], residual?: Tensor2D): LayerWalk {
        const outputs = yield { stage: inputs, input, keep, ...(mayBeRounded && { mayBeRounded }) }
        const [out] = yield { stage: output, input: between(outputs), keep, ...(residual && { residual }) }
        return out
      },
    }
  }
}
