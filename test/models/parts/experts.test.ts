import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import type { LayerHooks } from '../../../src/models/architecture.ts'
import { openModel, readWeight } from '../../../src/models/open-model.ts'
import { Walker } from '../../../src/models/walker.ts'
import { applyLinears, disposeLinear, disposeParameters, linearTensors, loadParameters } from '../../../src/models/weights.ts'
import type { Stage } from '../../../src/modifiers/modifier.ts'
import { measureMoments } from '../../../src/modifiers/statistics/moments.ts'
import { random, useEngine } from '../../engine/engines.ts'
import { largestDifference, oracleFolder } from '../oracles.ts'

useEngine('wasm')

/** A layer of a mixture of experts over random hidden states, with the number of requests. */
async function through(name: string, layer: number, hooks: LayerHooks): Promise<{ values: Float32Array; requests: number }> {
  const source = await openModel(oracleFolder(`architectures/${name}`))
  const { model } = source
  const [rows, length] = [2, 9]
  const before = tf.memory().numTensors
  const parameters = await loadParameters(source, model.parameters(layer))
  const shared = model.shared(length)
  const input = tf.tensor2d(random(rows * length * model.hidden, 5), [rows * length, model.hidden])
  const walker = await Walker.start(model.walk(layer, input, parameters, shared, { rows, length }, hooks), input)
  let requests = 0
  while (!walker.result) {
    const { stage, input: x } = walker.request
    const outputs: Tensor2D[] = []
    for (const spec of model.linears(layer).filter(({ name: full }) => stage.linears.some((own) => full.endsWith(`.${own}`)))) {
      const linear = linearTensors(await readWeight(source, spec), null, spec)
      outputs.push(...applyLinears(x, [linear]))
      disposeLinear(linear)
    }
    await walker.answer(outputs)
    requests++
  }
  const values = Float32Array.from(walker.result.dataSync())
  walker.result.dispose()
  disposeParameters(parameters)
  tf.dispose(shared)
  expect(tf.memory().numTensors).toBe(before)
  await source.close()
  return { values, requests }
}

describe('experts', () => {
  test.each([
    ['mixtral', 0],
    ['qwen3_moe', 1],
  ])('%s: all tokens through all experts give what the routed tokens give, and routing is seen', async (name, layer) => {
    const seen: { module: string; routed: number[] }[] = []
    const route: LayerHooks['route'] = (module, weights) => {
      const perToken = tf.tidy(() => tf.sum(tf.cast(tf.notEqual(weights, 0), 'int32'), 1).dataSync())
      seen.push({ module, routed: [...perToken] })
      expect(tf.tidy(() => tf.sum(weights).dataSync()[0])).toBeCloseTo(18, 4)
    }
    const [all, routed] = [await through(name, layer, { route }), await through(name, layer, { routedOnly: true })]
    expect(largestDifference(all.values, routed.values)).toBeLessThan(1e-5)
    expect(all.requests).toBe(2 + 2 * 4)
    const module = name === 'mixtral' ? 'block_sparse_moe.experts' : 'mlp.experts'
    expect(seen).toEqual([{ module, routed: new Array(18).fill(2) }])
  })
})

describe('inputs that experts share', () => {
  const stages = async (name: string) => {
    const source = await openModel(oracleFolder(`architectures/${name}`))
    await source.close()
    return Array.from({ length: source.model.layers }, (_, layer) => source.model.stages(layer)).flat()
  }

  test('are marked where all experts read the same, not where the router weighs what they read', async () => {
    const shared = async (name: string) => (await stages(name)).filter(({ sharedInput }) => sharedInput).map((stage) => stage.name)
    expect(new Set(await shared('mixtral'))).toEqual(new Set([0, 1, 2, 3].map((index) => `expert ${index} inputs`)))
    expect(await shared('llama4')).toEqual([])
  })

  test('are measured once for all of them, unless targets are asked for', async () => {
    let passes = 0
    const input = tf.tensor2d([1, 2, 3, 4], [2, 2])
    const eachInput: Stage['eachInput'] = async (visit) => {
      passes++
      visit(input, { rows: 1, length: 2, heldBack: false, residual: null, original: null })
    }
    const stage = { name: 'a stage', linears: [], eachInput, measured: new Map() } as unknown as Stage
    const first = await measureMoments(stage, { holdBack: true, view: null })
    expect(await measureMoments({ ...stage, name: 'another' }, { holdBack: true, view: null })).toBe(first)
    expect(passes).toBe(1)
    await measureMoments(stage, { holdBack: true, view: { pull: () => tf.clone(input), weights: () => null } })
    await measureMoments({ name: 'alone', linears: [], eachInput } as unknown as Stage, { holdBack: true, view: null })
    expect(passes).toBe(3)
    input.dispose()
  })
})
