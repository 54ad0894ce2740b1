import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { swish } from '../../engine/swish.ts'
import { type Config, oneOf } from '../config-values.ts'

/** An element-wise function between the linears of an MLP. */
export interface Activation {
  apply(x: Tensor2D): Tensor2D
  /** f(a x) = a f(x) for a > 0: then rows of the linear before it can be rescaled. */
  readonly homogeneous: boolean
  /** It takes x in bfloat16, too. */
  readonly takesBfloat16?: true
}

/** x * sigmoid(x), also called swish (arXiv 1702.03118). */
export const silu: Activation = { apply: swish, homogeneous: false, takesBfloat16: true }

const relu: Activation = { apply: (x) => tf.relu(x), homogeneous: true }

/** GELU (arXiv 1606.08415) with the error function. */
const gelu: Activation = {
  apply: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
  homogeneous: false,
}

/** GELU in the paper's approximation by tanh. */
export const geluTanh: Activation = {
  apply: (x) => {
    const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI))
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1))
  },
  homogeneous: false,
}

const BY_NAME = {
  silu,
  swish: silu,
  relu,
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
} as const

/** The activation that a key of config.json names. Errors: CheckpointError for one that is not known. */
export function readActivation(config: Config, key: string): Activation {
  return BY_NAME[oneOf(config, key, Object.keys(BY_NAME) as (keyof typeof BY_NAME)[])]
}

/** tanh(x / cap) * cap, or x where there is no cap (arXiv 2408.00118). */
export function softcap<T extends Tensor>(x: T, cap: number | null): T {
  return cap === null ? x : tf.mul(tf.tanh(tf.div(x, cap)), cap)
}

/** What bends logits to stay within a cap; nothing where there is none. */
export function capped(cap: number | null): (logits: Tensor2D) => Tensor2D {
  return (logits) => softcap(logits, cap)
}
