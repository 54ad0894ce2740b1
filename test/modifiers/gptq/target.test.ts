import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { openEngine } from '../../../src/engine/open.ts'
import { openKernels } from '../../../src/kernels/open.ts'
import { inputTarget } from '../../../src/modifiers/gptq/input-target.ts'
import { residualTarget } from '../../../src/modifiers/gptq/residual-target.ts'
import { aim, type Target } from '../../../src/modifiers/gptq/target.ts'
import type { CalibrationBatch, Stage } from '../../../src/modifiers/modifier.ts'
import { activationOrder, dampedFactor } from '../../../src/modifiers/statistics/hessian.ts'
import { measureMoments, type StageMoments } from '../../../src/modifiers/statistics/moments.ts'
import { random, useEngine } from '../../engine/engines.ts'

useEngine('wasm')

const TOKENS = 160
const COLUMNS = 24
const ROWS = 10

/** What one batch shows: inputs, those of the original model, and both residual streams. */
interface Batch {
  readonly input: Float32Array
  readonly original: Float32Array
  readonly residual: Float32Array
  readonly after: Float32Array
  readonly heldBack: boolean
}

function batch(seed: number, heldBack: boolean, drift = 0.3): Batch {
  const input = random(TOKENS * COLUMNS, seed)
  const noise = random(TOKENS * COLUMNS, seed + 100)
  const residual = random(TOKENS * ROWS, seed + 200)
  const moved = random(TOKENS * ROWS, seed + 300)
  const original = input.map((value, i) => value + drift * noise[i] + 0.2 * input[(i + 1) % input.length])
  return { input, original, residual, after: residual.map((value, i) => value + 0.5 * moved[i]), heldBack }
}

async function measured(
  batches: readonly Batch[],
  target: Target,
): Promise<{ moments: StageMoments; stage: Stage; close(): Promise<void> }> {
  const engine = await openEngine({ engine: 'wasm', threads: 1 })
  const kernels = await openKernels({ threads: 1 })
  const stage: Stage = {
    name: 'a stage',
    linears: [],
    engine,
    kernels,
    signal: new AbortController().signal,
    hasInputs: true,
    addsToResidual: target.kind === 'residual',
    async eachInput(visit) {
      for (const { input, original, residual, after, heldBack } of batches) {
        const [x, xf] = [input, original].map((values) => tf.tensor2d(values, [TOKENS, COLUMNS]))
        const [r, rf] = [residual, after].map((values) => tf.tensor2d(values, [TOKENS, ROWS]))
        const shown: CalibrationBatch = { rows: 1, length: TOKENS, heldBack, residual: r, original: { input: xf, residualAfter: rf } }
        visit(x, shown)
        tf.dispose([x, xf, r, rf])
      }
    },
    rescaleInputs: () => Promise.reject(new Error('expected no rescaling')),
  }
  return { moments: await measureMoments(stage, { holdBack: true, view: target }), stage, close: () => kernels.close() }
}

/** Σ over tokens of weight · |x Wᵀ - wanted|², in float64. */
function miss(
  weight: Float32Array,
  { input }: Batch,
  wanted: (token: number, row: number) => number,
  weights?: (token: number) => number,
): number {
  let sum = 0
  for (let t = 0; t < TOKENS; t++) {
    for (let row = 0; row < ROWS; row++) {
      let y = 0
      for (let j = 0; j < COLUMNS; j++) y += input[t * COLUMNS + j] * weight[row * COLUMNS + j]
      sum += (weights?.(t) ?? 1) * (y - wanted(t, row)) ** 2
    }
  }
  return sum
}

function product(values: Float32Array, weight: Float32Array): (token: number, row: number) => number {
  return (token, row) => {
    let y = 0
    for (let j = 0; j < COLUMNS; j++) y += values[token * COLUMNS + j] * weight[row * COLUMNS + j]
    return y
  }
}

describe('aim', () => {
  test('the whole step towards the inputs is their least squares solution: no small change of it misses less', async () => {
    const only = batch(1, false)
    const weight = random(ROWS * COLUMNS, 9)
    const { moments, stage, close } = await measured([only], inputTarget)
    const factor = await dampedFactor(stage, moments.fitted.hessian, activationOrder(moments.fitted.hessian), 1e-6)
    if (!factor) throw new Error('expected a factor')
    const [aimed] = await aim(inputTarget, [weight], moments, factor, 1)
    await close()
    expect(aimed.step).toBe(1)
    const wanted = product(only.original, weight)
    const least = miss(aimed.weight, only, wanted)
    expect(least).toBeLessThan(miss(weight, only, wanted))
    for (const seed of [1, 2, 3]) {
      const change = random(ROWS * COLUMNS, 50 + seed)
      const moved = aimed.weight.map((value, i) => value + 0.01 * change[i])
      expect(miss(moved, only, wanted)).toBeGreaterThan(least)
    }
  })

  test('the whole step towards the residual stream is its least squares solution, tokens weighed by the size of their residual', async () => {
    const only = batch(4, false)
    const weight = random(ROWS * COLUMNS, 10)
    const { moments, stage, close } = await measured([only], residualTarget(null))
    const factor = await dampedFactor(stage, moments.fitted.hessian, activationOrder(moments.fitted.hessian), 1e-6)
    if (!factor) throw new Error('expected a factor')
    const [aimed] = await aim(residualTarget(null), [weight], moments, factor, 1)
    await close()
    const wanted = (t: number, row: number) => only.after[t * ROWS + row] - only.residual[t * ROWS + row]
    const weights = (t: number) => ROWS / only.residual.slice(t * ROWS, (t + 1) * ROWS).reduce((sum, value) => sum + value * value, 0)
    const least = miss(aimed.weight, only, wanted, weights)
    for (const seed of [1, 2, 3]) {
      const change = random(ROWS * COLUMNS, 60 + seed)
      const moved = aimed.weight.map((value, i) => value + 0.01 * change[i])
      expect(miss(moved, only, wanted, weights)).toBeGreaterThan(least)
    }
  })

  test('goes no further than the option says', async () => {
    const weight = random(ROWS * COLUMNS, 11)
    const { moments, stage, close } = await measured([batch(1, false), batch(1, true)], inputTarget)
    const factor = await dampedFactor(stage, moments.fitted.hessian, activationOrder(moments.fitted.hessian), 0.01)
    if (!factor) throw new Error('expected a factor')
    expect((await aim(inputTarget, [weight], moments, factor, 0.25))[0].step).toBe(0.25)
    await close()
  })

  test('stays where it is when rows held back drift the other way', async () => {
    const weight = random(ROWS * COLUMNS, 12)
    const fitted = batch(1, false)
    const away = { ...fitted, original: fitted.original.map((value, i) => 2 * fitted.input[i] - value), heldBack: true }
    const { moments, stage, close } = await measured([fitted, away], inputTarget)
    const factor = await dampedFactor(stage, moments.fitted.hessian, activationOrder(moments.fitted.hessian), 0.01)
    if (!factor) throw new Error('expected a factor')
    const [aimed] = await aim(inputTarget, [weight], moments, factor, 0.5)
    await close()
    expect(aimed.step).toBe(0)
    expect(aimed.weight).toEqual(weight)
  })

  test('leaves no tensor behind', async () => {
    const weight = random(ROWS * COLUMNS, 13)
    const { moments, stage, close } = await measured([batch(1, false), batch(2, true)], residualTarget(null))
    const factor = await dampedFactor(stage, moments.fitted.hessian, activationOrder(moments.fitted.hessian), 0.01)
    if (!factor) throw new Error('expected a factor')
    const before = tf.memory().numTensors
    await aim(residualTarget(null), [weight], moments, factor, 0.5)
    expect(tf.memory().numTensors).toBe(before)
    await close()
  })
})
