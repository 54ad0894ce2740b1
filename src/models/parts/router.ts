import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { ParameterSpec } from '../architecture.ts'
import type { Scope } from './part.ts'

/** Which experts a token goes to, and how much each has to say. */
export interface Router {
  readonly parameters: readonly ParameterSpec[]
  /** x [tokens, hidden]; gives [tokens, experts], zero where a token does not go to an expert. */
  route(x: Tensor2D, scope: Scope): Tensor2D
}

/** Sizes that routers share. */
export interface RouterSpec {
  /** Module name below the layer: `mlp.gate`. */
  readonly name: string
  readonly hidden: number
  readonly experts: number
  /** Experts of a token. */
  readonly chosen: number
}

/** The weight of a router and its logits [tokens, experts]. */
function logitsOf({ name, hidden, experts }: RouterSpec): {
  readonly weight: ParameterSpec
  readonly logits: (x: Tensor2D, scope: Scope) => Tensor2D
} {
  const weight = { name: `${name}.weight`, shape: [experts, hidden], className: 'Router' }
  return { weight, logits: (x, scope) => matMul(x, scope.parameter(weight.name), false, true) as Tensor2D }
}

/** Ones at the `count` largest elements of each row [rows, columns], zeros elsewhere. */
function largest(x: Tensor2D, count: number): Tensor2D {
  const { indices } = tf.topk(x, count)
  return tf.sum(tf.oneHot(indices as Tensor, x.shape[1]), 1)
}

/** Softmax over all experts; the largest are kept (Mixtral, arXiv 2401.04088), and made to sum to one where `normalize` says so. */
export function softmaxRouter(spec: RouterSpec & { readonly normalize: boolean; readonly scale?: number }): Router {
  const { weight, logits } = logitsOf(spec)
  return {
    parameters: [weight],
    route: (x, scope) => {
      const shares = tf.softmax(logits(x, scope))
      const kept = tf.mul<Tensor2D>(shares, largest(shares, spec.chosen))
      const routed = spec.normalize ? tf.div<Tensor2D>(kept, tf.sum(kept, 1, true)) : kept
      return spec.scale === undefined ? routed : tf.mul(routed, spec.scale)
    },
  }
}
