import { expect, it } from 'vitest'
import { correctBias } from '../../../src/modifiers/gptq/bias-correction.ts'
import { linearOf } from '../stages.ts'

/** W x + b [2] for the mean input x of a 2 x 2 weight: the mean output. */
function meanOutput(weight: Float32Array, bias: Float32Array, [x, y]: Float32Array): number[] {
  return [weight[0] * x + weight[1] * y + bias[0], weight[2] * x + weight[3] * y + bias[1]]
}

it('correctBias() keeps the mean output of the weight that was rounded, which may aim elsewhere than the original', () => {
  const aimed = Float32Array.of(1.5, -0.25, 0.75, 2)
  const rounded = Float32Array.of(1, 0, 1, 2)
  const mean = Float32Array.of(2, 4)
  const original = Float32Array.of(9, 9, 9, 9)
  const linear = { ...linearOf('q_proj', 2, 2, original), bias: Float32Array.of(0.5, -1) }
  const before = meanOutput(aimed, linear.bias, mean)
  correctBias(linear, aimed, rounded, mean)
  expect(meanOutput(rounded, linear.bias, mean)).toEqual(before)
})
