import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { asFloats } from '../../engine/as-floats.ts'
import type { HostRequest, LayerWalk, LinearSpec, StageSpec } from '../architecture.ts'
import { type Activation, silu } from './activations.ts'
import type { Part, PartMaker, Scope } from './part.ts'
import type { Router } from './router.ts'

/** A mixture of experts, each a gated MLP with linears of its own. */
export interface ExpertsSpec {
  readonly hidden: number
  readonly inner: number
  readonly count: number
  readonly router: Router
  /** The module of the experts below the layer: `mlp.experts`. */
  readonly module: string
  readonly names?: { readonly gate?: string; readonly up?: string; readonly down?: string }
  readonly bias?: boolean
  readonly activation?: Activation
  /** What enters the last linear [tokens, inner], where it is not activation(gate) * up. */
  readonly between?: (gate: Tensor2D, up: Tensor2D) => Tensor2D
  /** An expert that all tokens go to beside. */
  readonly shared?: PartMaker
}

interface Expert {
  readonly inputs: StageSpec
  readonly output: StageSpec
  readonly linears: readonly LinearSpec[]
}

/**
 * Experts one after the other, each two stages: so their weights, inputs and Hessians are in memory one at a time. Every token goes through
 * every expert, for statistics from all of them (of the input that they share once), and what a token is not routed to adds nothing. Where `hooks.routedOnly` is set, experts
 * see their own tokens only, and those without any are passed over. The norm before is read by all experts and the router: no rescaling of
 * one expert's inputs could go there.
 */
export function experts(spec: ExpertsSpec): PartMaker {
  const { module, router, activation = silu } = spec
  const between = spec.between ?? ((gate, up) => tf.mul<Tensor2D>(activation.apply(gate), up))
  const all = Array.from({ length: spec.count }, (_, index) => expertOf(spec, index))
  return () => {
    const shared = spec.shared?.({ source: null, addsToResidual: false })
    return {
      stages: [...all.flatMap(({ inputs, output }) => [inputs, output]), ...(shared?.stages ?? [])],
      linears: [...all.flatMap(({ linears }) => linears), ...(shared?.linears ?? [])],
      parameters: [...router.parameters, ...(shared?.parameters ?? [])],
      tables: shared?.tables ?? [],
      *run(input: Tensor2D, scope: Scope, keep: readonly Tensor[]): LayerWalk {
        const weights = router.route(input, scope)
        scope.hooks.route?.(module, weights)
        // What is routed nowhere is weighed as if it were, for statistics from all tokens.
        const shares = router.inputScores?.(input, scope) ?? null
        const own: Tensor2D = shares ? asFloats(tf.notEqual(weights, 0) as Tensor2D) : weights
        let mixed: Tensor2D = tf.zerosLike(input)
        const routed = scope.hooks.routedOnly ? yield* routedTokens(own, [...keep, input, own, mixed, ...(shares ? [shares] : [])]) : null
        for (const [index, expert] of all.entries()) {
          const column = (x: Tensor2D): Tensor2D => tf.slice(x, [0, index], [-1, 1])
          const tokens = routed?.[index] ?? null
          if (tokens?.length === 0) continue
          const held = [...keep, input, own, mixed, ...(shares ? [shares] : [])]
          const read = shares ? tf.mul<Tensor2D>(input, column(shares)) : input
          const out = yield* throughExpert(expert, tokens ? tf.gather(read, tokens) : read, held, between)
          mixed = tf.add(mixed, tf.mul(tokens ? scattered(out, tokens, input.shape[0]) : out, column(own)))
        }
        if (!shared) return mixed
        return tf.add(mixed, yield* shared.run(input, scope, [...keep, mixed]))
      },
    } satisfies Part
  }
}

function expertOf({ module, names = {}, hidden, inner, bias = false, between, router }: ExpertsSpec, index: number): Expert {
  const { gate = 'gate_proj', up = 'up_proj', down = 'down_proj' } = names
  const [gateName, upName, downName] = [gate, up, down].map((name) => `${module}.${index}.${name}`)
  return {
    inputs: {
      name: `expert ${index} inputs`,
      linears: [gateName, upName],
      source: null,
      addsToResidual: false,
      ...(!router.inputScores && { sharedInput: true }),
    },
    output: {
      name: `expert ${index} output`,
      linears: [downName],
      source: between ? null : { kind: 'linear', name: upName },
      addsToResidual: false,
    },
    linears: [
      { name: gateName, rows: inner, columns: hidden, bias },
      { name: upName, rows: inner, columns: hidden, bias },
      { name: downName, rows: hidden, columns: inner, bias },
    ],
  }
}

function* throughExpert(
  { inputs, output }: Expert,
  input: Tensor2D,
  keep: readonly Tensor[],
  between: NonNullable<ExpertsSpec['between']>,
): LayerWalk {
  const [gate, up] = yield { stage: inputs, input, keep }
  const [out] = yield { stage: output, input: between(gate, up), keep }
  return out
}

/** By expert, the indices of the tokens whose weight in [tokens, experts] is not zero. */
function* routedTokens(weights: Tensor2D, keep: readonly Tensor[]): Generator<HostRequest, Int32Array[], readonly Tensor2D[]> {
  const count = weights.shape[1]
  const tokens: number[][] = Array.from({ length: count }, () => [])
  yield {
    read: [weights],
    work: ([values]) => {
      for (let i = 0; i < values.length; i++) if (values[i] !== 0) tokens[i % count].push(Math.floor(i / count))
      return []
    },
    keep,
  }
  return tokens.map((indices) => Int32Array.from(indices))
}

/** Rows put at their tokens among `count`; zeros elsewhere. */
function scattered(rows: Tensor2D, tokens: Int32Array, count: number): Tensor2D {
  return tf.scatterND(tf.tensor2d(tokens, [tokens.length, 1], 'int32'), rows, [count, rows.shape[1]]) as Tensor2D
}
