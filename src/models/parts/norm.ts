import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { ParameterSpec, StageSource } from '../architecture.ts'
import type { Scope } from './part.ts'

/** How a family normalizes. */
export interface NormKind {
  readonly epsilon: number
  /** LayerNorm (arXiv 1607.06450), which subtracts the mean; else RMSNorm (arXiv 1910.07467). */
  readonly centered?: boolean
  /** 1 where the stored weight lacks one: Gemma multiplies by 1 + weight. */
  readonly offset?: 0 | 1
  readonly bias?: boolean
}

/** A normalization of the last axis. */
export interface Norm {
  readonly name: string
  readonly parameters: readonly ParameterSpec[]
  readonly source: StageSource
  /** x [tokens, width] */
  apply(x: Tensor2D, scope: Scope): Tensor2D
}

/** x / rms(x), of x or of x - mean(x), over the last axis; no weight. */
export function normalize<T extends Tensor>(x: T, epsilon: number, centered = false): T {
  const values = centered ? tf.sub<T>(x, tf.mean(x, -1, true)) : x
  return tf.mul(values, tf.rsqrt(tf.add(tf.mean(tf.square(values), -1, true), epsilon)))
}

/** A norm of `width` channels by its name below the layer. */
export function norm({ epsilon, centered = false, offset = 0, bias = false }: NormKind, name: string, width: number): Norm {
  const className = centered ? 'LayerNorm' : 'RMSNorm'
  const parameter = (suffix: string): ParameterSpec => ({ name: `${name}.${suffix}`, shape: [width], className })
  return {
    name,
    parameters: bias ? [parameter('weight'), parameter('bias')] : [parameter('weight')],
    source: { kind: 'norm', name, offset, centered },
    apply: (x, scope) => {
      const stored = scope.parameter(`${name}.weight`)
      const weight: Tensor = offset === 0 ? stored : tf.add(stored, offset)
      const scaled = tf.mul<Tensor2D>(normalize(x, epsilon, centered), weight)
      return bias ? tf.add(scaled, scope.parameter(`${name}.bias`)) : scaled
    },
  }
}

/** The norm of each head of its own: x [tokens, heads * width], one weight of `width` channels for all heads. */
function perHead(inner: Norm, width: number): Norm {
  return {
    ...inner,
    apply: (x, scope) => tf.reshape(inner.apply(tf.reshape(x, [-1, width]), scope), x.shape),
  }
}

/** Norms of each query and key head, as `q_norm` and `k_norm` of `self_attn`. */
export function headNorms(kind: NormKind, headDim: number): { readonly queryNorm: Norm; readonly keyNorm: Norm } {
  const named = (name: string) => perHead(norm(kind, `self_attn.${name}`, headDim), headDim)
  return { queryNorm: named('q_norm'), keyNorm: named('k_norm') }
}

/** A norm of each head with a weight of its own: the parameters hold them, one for all heads or one a head. */
export function ownHeadNorms({ epsilon, centered = false }: NormKind, parameters: readonly ParameterSpec[], headDim: number): Norm {
  const [{ name }] = parameters
  return {
    name,
    parameters,
    source: { kind: 'norm', name, offset: 0, centered },
    apply: (x, scope) => {
      const weights = parameters.map((parameter) => tf.reshape(scope.parameter(parameter.name), [-1]))
      const normed = tf.reshape(normalize(tf.reshape(x, [-1, headDim]), epsilon, centered), x.shape)
      return tf.mul(normed, tf.concat(weights))
    },
  }
}
