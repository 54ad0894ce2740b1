import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { openEngine } from '../../../src/engine/open.ts'
import { residualTarget } from '../../../src/modifiers/gptq/residual-target.ts'
import type { CalibrationBatch, Stage } from '../../../src/modifiers/modifier.ts'
import { measureMoments } from '../../../src/modifiers/statistics/moments.ts'
import { generator } from '../../kernels/random.ts'

const TOKENS = 40
const COLUMNS = 6
const ROWS = 4

/** Numbers around `middle`, at most 1 away. */
function numbers(seed: number, count: number, middle = 0): Float32Array {
  const next = generator(seed)
  return Float32Array.from({ length: count }, () => middle + next())
}

/** A stage whose residual stream has not drifted: what the original adds to it is X Wᵀ + b. */
function undrifted(weight: Tensor2D, bias: Float32Array): Stage {
  const eachInput: Stage['eachInput'] = async (visit) => {
    // All positive, so that a bias is not lost in the mean of the inputs.
    const input = tf.tensor2d(numbers(1, TOKENS * COLUMNS, 2), [TOKENS, COLUMNS])
    const residual = tf.tensor2d(numbers(2, TOKENS * ROWS), [TOKENS, ROWS])
    const residualAfter = tf.tidy(() =>
      tf.add<Tensor2D>(residual, tf.add<Tensor2D>(tf.matMul(input, weight, false, true), tf.tensor1d(bias))),
    )
    const batch: CalibrationBatch = { rows: 1, length: TOKENS, heldBack: false, residual, original: { input, residualAfter } }
    visit(input, batch)
    tf.dispose([input, residual, residualAfter])
  }
  return { name: 'a stage', linears: [{ bias }], eachInput } as unknown as Stage
}

describe('residualTarget()', () => {
  beforeAll(() => openEngine({ engine: 'wasm', threads: 1 }))

  it('leaves a weight alone where the residual stream has not drifted, whatever the bias', async () => {
    const weight = tf.tensor2d(numbers(3, ROWS * COLUMNS), [ROWS, COLUMNS])
    const bias = Float32Array.of(3, -2, 0.5, 1)
    const before = tf.memory().numTensors
    const target = residualTarget(bias)
    const { fitted } = await measureMoments(undrifted(weight, bias), { holdBack: false, view: target })
    const { hessian, pull } = fitted
    const slope = tf.tidy(() =>
      target
        .gradient(weight, {
          hessian: tf.tensor2d(hessian.matrix.block(0, COLUMNS, 0, COLUMNS), [COLUMNS, COLUMNS]),
          pull: tf.tensor2d(pull?.values ?? [], [COLUMNS, ROWS]),
        })
        .dataSync<'float32'>(),
    )
    expect(Math.max(...slope.map(Math.abs))).toBeLessThan(1e-5)
    expect(tf.memory().numTensors).toBe(before)
    weight.dispose()
  })
})
