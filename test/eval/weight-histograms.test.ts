import { describe, expect, test } from 'vitest'
import { weightHistograms } from '../../src/eval/weight-histograms.ts'
import { UserError } from '../../src/util/errors.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, TINY } from '../oneshot/runs.ts'

useEngine('wasm')

describe('weightHistograms()', () => {
  test('counts the weights of a linear as they are, quantized plainly, and in another checkpoint', async () => {
    const { output } = await runTiny(recipeOf('QuantizationModifier', { scheme: 'W4A16' }))
    const tensor = 'model.layers.0.mlp.up_proj'
    const { histograms, edges, weights } = await weightHistograms(TINY, { tensor, against: [output] })
    expect(histograms.map(({ name }) => name)).toEqual(['original', 'absmax', 'zero-point', output])
    expect([edges.length, edges[0], edges[150]]).toEqual([151, -2, 2])
    for (const { counts } of histograms) expect(counts.reduce((sum, count) => sum + count)).toBe(weights)
    const [original, absmax, , four] = histograms.map(({ meanError }) => meanError)
    expect(original).toBe(0)
    expect(absmax).toBeGreaterThan(0)
    expect(four).toBeGreaterThan(absmax)
  })

  test('takes all tensors of floats where none is named', async () => {
    const { weights, tensor } = await weightHistograms(TINY, { bins: 3 })
    expect([weights, tensor]).toEqual([336_512, null])
  })

  test('a tensor that is not there, and a range that is none, are refused', async () => {
    await expect(weightHistograms(TINY, { tensor: 'model.layers.0.mlp.upproj' })).rejects.toThrow(
      /did you mean "model\.layers\.0\.mlp\.up_proj\.weight"/,
    )
    await expect(weightHistograms(TINY, { range: [1, 1] })).rejects.toThrow(UserError)
  })
})
