import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { LayerWalk, ParameterSpec } from '../architecture.ts'
import type { Part, PartMaker, Scope } from './part.ts'
import type { Router } from './router.ts'

/** A mixture of experts whose weights are stored in one tensor for all: [experts, columns, rows]. */
export interface StackedExpertsSpec {
  readonly hidden: number
  readonly inner: number
  readonly count: number
  readonly router: Router
  /** The module of the experts below the layer: `mlp.experts`. */
  readonly module: string
  readonly bias: boolean
  /** What stands between the two products: gate and up [tokens, 2 * inner] to [tokens, inner]. */
  readonly between: (gateUp: Tensor2D) => Tensor2D
  /** The router's weight multiplies what an expert reads, not what it gives. */
  readonly weighsInputs?: boolean
  /** An expert that all tokens go to beside. */
  readonly shared?: PartMaker
}

/**
 * Experts in one tensor are no linears: loaders of compressed-tensors have no form for them, so that they are computed with, as parameters, and
 * never compressed. Each sees its own tokens.
 */
export function stackedExperts(spec: StackedExpertsSpec): PartMaker {
  const { module, hidden, inner, count, router, bias } = spec
  const parameter = (name: string, shape: readonly number[]): ParameterSpec => ({ name: `${module}.${name}`, shape })
  const weights = [parameter('gate_up_proj', [count, hidden, 2 * inner]), parameter('down_proj', [count, inner, hidden])]
  const offsets = bias ? [parameter('gate_up_proj_bias', [count, 2 * inner]), parameter('down_proj_bias', [count, hidden])] : []
  return () => {
    const shared = spec.shared?.({ source: null, addsToResidual: false })
    return {
      stages: shared?.stages ?? [],
      linears: shared?.linears ?? [],
      parameters: [...router.parameters, ...weights, ...offsets, ...(shared?.parameters ?? [])],
      tables: shared?.tables ?? [],
      *run(input: Tensor2D, scope: Scope, keep: readonly Tensor[]): LayerWalk {
        const routed = router.route(input, scope)
        scope.hooks.route?.(module, routed)
        const mixed = tf.tidy(() => mixture(input, routed, scope, spec))
        if (!shared) return mixed
        return tf.add(mixed, yield* shared.run(input, scope, [...keep, mixed]))
      },
    } satisfies Part
  }
}

function mixture(
  input: Tensor2D,
  routed: Tensor2D,
  scope: Scope,
  { module, count, bias, between, weighsInputs }: StackedExpertsSpec,
): Tensor2D {
  const [tokens] = input.shape
  const product = (x: Tensor2D, name: string, expert: number): Tensor2D => {
    const stacked = scope.parameter(`${module}.${name}`)
    const [, columns, rows] = stacked.shape
    const weight = tf.reshape(tf.slice(stacked, [expert, 0, 0], [1, columns, rows]), [columns, rows])
    const y = matMul(x, weight) as Tensor2D
    return bias ? tf.add(y, tf.slice(scope.parameter(`${module}.${name}_bias`), [expert, 0], [1, rows])) : y
  }
  let mixed = tf.zerosLike(input)
  for (let expert = 0; expert < count; expert++) {
    const own = tf.slice(routed, [0, expert], [tokens, 1])
    const values = own.dataSync<'float32'>()
    const chosen = Int32Array.from(values.keys()).filter((token) => values[token] !== 0)
    if (chosen.length === 0) continue
    const [x, weight] = [tf.gather(input, chosen), tf.gather(own, chosen)]
    const inner = between(product(weighsInputs ? tf.mul(x, weight) : x, 'gate_up_proj', expert))
    const out = product(inner, 'down_proj', expert)
    const places = tf.tensor2d(chosen, [chosen.length, 1], 'int32')
    mixed = tf.add(mixed, tf.scatterND(places, weighsInputs ? out : tf.mul(out, weight), input.shape) as Tensor2D)
  }
  return mixed
}
