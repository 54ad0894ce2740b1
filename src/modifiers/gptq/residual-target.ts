import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { CalibrationBatch } from '../modifier.ts'
import type { Target } from './target.ts'

/** Below this mean square a token's residual counts as this large. */
const LEAST = 1e-12

/**
 * Where the outputs of o and down should go: to what carries the residual stream R to the original model's after them, Rf. With X their
 * inputs, W' = W + beta (H + lambda I)⁻¹ Xᵀ diag(w) [Rf - R - X Wᵀ] / T pays back part of the error that the stream has gathered.
 * w = 1 / mean square of a token's residual, since the next RMSNorm divides by its root: some tokens are 10^4 times as large as others
 * and would decide all (SmolLM2-135M, layers 18 to 20: 960,000 at the first position, about 90 elsewhere). `bias` [rows] is the linear's
 * own: it is added whatever the weight does, so the weight has only the rest to make.
 */
export function residualTarget(bias: Float32Array | null): Target {
  return {
    kind: 'residual',
    pull: (_input, batch) => {
      const added = tf.sub<Tensor2D>(streams(batch).after, streams(batch).residual)
      return bias ? tf.sub<Tensor2D>(added, tf.tensor1d(bias)) : added
    },
    weights: (batch) => {
      const meanSquare = tf.mean<Tensor2D>(tf.square(streams(batch).residual), 1, true)
      return tf.reciprocal(tf.maximum<Tensor2D>(meanSquare, LEAST))
    },
    gradient: (weight, { hessian, pull }) => tf.sub(tf.transpose(pull), matMul(weight, hessian)),
  }
}

function streams({ residual, original }: CalibrationBatch): { residual: Tensor2D; after: Tensor2D } {
  const after = original?.residualAfter
  if (residual && after) return { residual, after }
  throw new RangeError('Cannot aim at the original residual stream: the stage does not add to it, expected one that does')
}
