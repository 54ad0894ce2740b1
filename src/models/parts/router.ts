import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { asFloats } from '../../engine/as-floats.ts'
import { matMul } from '../../engine/mat-mul.ts'
import type { ParameterSpec } from '../architecture.ts'
import type { Scope } from './part.ts'

/** Which experts a token goes to, and how much each has to say. */
export interface Router {
  readonly parameters: readonly ParameterSpec[]
  /** x [tokens, hidden]; gives [tokens, experts], zero where a token does not go to an expert. */
  route(x: Tensor2D, scope: Scope): Tensor2D
  /**
   * Where there is one, it multiplies what an expert reads, and not what it gives: [tokens, experts], how much each has to say, or would
   * have if the token went there.
   */
  inputScores?(x: Tensor2D, scope: Scope): Tensor2D
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
  // oneHot of a single column is refused by tfjs.
  if (count >= x.shape[1]) return tf.onesLike(x)
  const { indices } = tf.topk(x, count)
  return tf.sum(asFloats(tf.oneHot(indices as Tensor, x.shape[1])), 1)
}

/** Softmax over all experts; the largest are kept (Mixtral, arXiv 2401.04088), and made to sum to one where `normalize` says so. */
export function softmaxRouter(spec: RouterSpec & { readonly normalize: boolean; readonly scale?: number }): Router {
  const { weight, logits } = logitsOf(spec)
  const { scale = 1 } = spec
  return {
    parameters: [weight],
    route: (x, scope) => {
      const shares = tf.softmax(logits(x, scope))
      const kept = tf.mul<Tensor2D>(shares, largest(shares, spec.chosen))
      const routed = spec.normalize ? tf.div<Tensor2D>(kept, tf.sum(kept, 1, true)) : kept
      return scale === 1 ? routed : tf.mul(routed, scale)
    },
  }
}

/** Groups of experts, of which a token first chooses some. */
export interface RouterGroups {
  readonly count: number
  readonly chosen: number
}

/** Ones at the experts [tokens, experts] whose group is among the best by `scores` [tokens, groups]. */
function inGroups(scores: Tensor2D, experts: number, { count, chosen }: RouterGroups): Tensor2D {
  const groups = tf.reshape(largest(scores, chosen), [-1, count, 1])
  return tf.reshape(tf.tile(groups, [1, 1, experts / count]), [-1, experts])
}

/** As `softmaxRouter` without normalizing, within the groups that have the largest share (DeepSeek-V2, arXiv 2405.04434). */
export function groupedSoftmaxRouter(spec: RouterSpec & { readonly groups: RouterGroups; readonly scale: number }): Router {
  const { weight, logits } = logitsOf(spec)
  const { groups, experts, chosen, scale } = spec
  return {
    parameters: [weight],
    route: (x, scope) => {
      const shares = tf.softmax(logits(x, scope))
      const best = tf.max<Tensor2D>(tf.reshape(shares, [-1, groups.count, experts / groups.count]), 2)
      const allowed = tf.mul<Tensor2D>(shares, inGroups(best, experts, groups))
      return tf.mul(tf.mul<Tensor2D>(allowed, largest(allowed, chosen)), scale)
    },
  }
}

/**
 * Sigmoid scores; which experts a token goes to is decided with a bias of each expert, within the groups whose two best are best (DeepSeek-V3,
 * arXiv 2412.19437).
 */
export function sigmoidRouter(
  spec: RouterSpec & { readonly groups: RouterGroups; readonly normalize: boolean; readonly scale: number },
): Router {
  const { weight, logits } = logitsOf(spec)
  const { name, groups, experts, chosen, normalize, scale } = spec
  const bias: ParameterSpec = { name: `${name}.e_score_correction_bias`, shape: [experts] }
  return {
    parameters: [weight, bias],
    route: (x, scope) => {
      const scores = tf.sigmoid(logits(x, scope))
      const biased = tf.add<Tensor2D>(scores, scope.parameter(bias.name))
      const pairs = tf.topk(tf.reshape(biased, [-1, groups.count, experts / groups.count]), 2).values
      const allowed = inGroups(tf.sum<Tensor2D>(pairs, 2), experts, groups)
      const judged = tf.where(tf.cast(allowed, 'bool'), biased, tf.fill(biased.shape, -1e9)) as Tensor2D
      const kept = tf.mul<Tensor2D>(scores, largest(judged, chosen))
      const routed = normalize ? tf.div<Tensor2D>(kept, tf.add(tf.sum(kept, 1, true), 1e-20)) : kept
      return tf.mul(routed, scale)
    },
  }
}

/** The largest logits, with a bias in them, and the softmax of those alone (gpt-oss, arXiv 2508.10925). */
export function topSoftmaxRouter(spec: RouterSpec): Router {
  const { weight, logits } = logitsOf(spec)
  const bias: ParameterSpec = { name: `${spec.name}.bias`, shape: [spec.experts] }
  return {
    parameters: [weight, bias],
    route: (x, scope) => {
      const all = tf.add<Tensor2D>(logits(x, scope), scope.parameter(bias.name))
      const kept = largest(all, spec.chosen)
      const judged = tf.where(tf.cast(kept, 'bool'), all, tf.fill(all.shape, -1e9)) as Tensor2D
      return tf.mul(tf.softmax(judged), kept)
    },
  }
}

/** The largest logits, each through a sigmoid, which multiplies what its expert reads (Llama 4). */
export function topSigmoidRouter(spec: RouterSpec): Router {
  const { weight, logits } = logitsOf(spec)
  return {
    parameters: [weight],
    route: (x, scope) => {
      const all = logits(x, scope)
      return tf.mul(tf.sigmoid(all), largest(all, spec.chosen))
    },
    inputScores: (x, scope) => tf.sigmoid(logits(x, scope)),
  }
}
