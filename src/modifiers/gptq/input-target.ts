import * as tf from '@tensorflow/tfjs-core'
import { matMul } from '../../engine/mat-mul.ts'
import type { Target } from './target.ts'

/**
 * Where the outputs of q/k/v and gate/up should go: to what the original model has there, although their inputs have drifted. With X the
 * inputs as the compressed layers give them and Xf the original model's, W' = W + alpha (H + lambda I)⁻¹ Xᵀ (Xf - X) / T Wᵀ minimises
 * |X W'ᵀ - Xf Wᵀ|² + lambda |W' - W|² at alpha 1. The drift Xf - X is summed itself: two Gram matrices would cancel.
 */
export const inputTarget: Target = {
  kind: 'inputs',
  pull: (input, { original }) => {
    if (!original) throw new RangeError('Cannot aim at the original inputs: the run has none, expected needs() to say originals')
    return tf.sub(original.input, input)
  },
  weights: () => null,
  gradient: (weight, { pull }) => matMul(weight, pull, false, true),
}
