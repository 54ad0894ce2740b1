import { describe, expect, test } from 'vitest'
import { estimate } from '../../src/advice/estimate.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { totalBytes } from '../../src/checkpoint/shards.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { CheckpointError, RecipeError } from '../../src/util/errors.ts'
import { folderOf, temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'
import { LLAMA_8B } from './llama-8b.ts'

describe('estimate', () => {
  test('Llama-3.1-8B from its config alone: the sizes in GiB that are known of it', async () => {
    const found = await estimate(await folderOf({ 'config.json': LLAMA_8B }), { recipes: ['FP8_DYNAMIC'] })
    expect(found.parameters).toBe(8_030_261_248)
    expect(found.weights.map(({ name }) => name)).toEqual(['float32', 'float16', 'int8', 'int4', 'FP8_DYNAMIC'])
    expect(found.weights[4]).toMatchObject({
      original_size_gb: 14.96,
      quantized_size_gb: 8.46,
      compression_ratio: 1.77,
      memory_saved_gb: 6.5,
    })
    // 32 layers of 8 heads of 128 channels, keys and values, two bytes each.
    expect(found.cache).toEqual({ bytesPerToken: 131_072, context: 4096, bytes: 536_870_912 })
  })

  test('takes config.json itself, and gives sizes that a plan of the whole checkpoint gives', async () => {
    const model = oracleFolder('tiny')
    const recipes = ['W4A16', 'W8A8', 'FP8_DYNAMIC', 'W4A16_ASYM']
    const { weights, stored } = await estimate(`${model}/config.json`, { recipes })
    for (const [i, recipe] of recipes.entries()) {
      const plan = await planRun({ model, recipe, output: '/nowhere/out' })
      await plan.close()
      expect(weights[4 + i].bytes, recipe).toBe(plan.size.after)
      expect(stored).toBe(plan.size.before)
    }
  })

  test.each(oracleNames('architectures'))('%s: the bytes that its checkpoint has', async (name) => {
    const model = oracleFolder(`architectures/${name}`)
    const reader = await openCheckpoint(model)
    const bytes = totalBytes([...reader.tensors.values()])
    await reader.close()
    const { stored } = await estimate(model)
    expect(stored).toBe(bytes)
  })

  test('an architecture that is not known, a size that no model has, and a wrong recipe are errors', async () => {
    await expect(estimate(await folderOf({ 'config.json': { model_type: 'frog' } }))).rejects.toThrow(
      /model_type in config.json is "frog", expected one of .*llama/,
    )
    await expect(estimate(await folderOf({ 'config.json': { ...LLAMA_8B, num_hidden_layers: 1e9 } }))).rejects.toThrow(
      'num_hidden_layers is 1000000000 in config.json, expected at most 4096',
    )
    await expect(estimate(await temporaryFolder())).rejects.toThrow(CheckpointError)
    await expect(estimate(await folderOf({ 'config.json': LLAMA_8B }), { recipes: ['gptq: {schem: 1}'] })).rejects.toThrow(RecipeError)
  })
})
