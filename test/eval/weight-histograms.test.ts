import { describe, expect, test } from 'vitest'
import { absmaxInt8, zeroPointInt8 } from '../../src/eval/simple-quantizers.ts'
import { weightHistograms } from '../../src/eval/weight-histograms.ts'
import { UserError } from '../../src/util/errors.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, TINY } from '../oneshot/runs.ts'

useEngine('wasm')

// The worked example of many tutorials.
const VALUES = Float32Array.of(0.5, -1.2, 0.3, 2.1, -0.8)

describe('absmaxInt8()', () => {
  test('gives the codes 30, -73, 18, 127, -48 times 2.1 / 127', () => {
    expect([...absmaxInt8(VALUES)].map((value) => Math.round((value * 127) / 2.1))).toEqual([30, -73, 18, 127, -48])
    expect([...absmaxInt8(new Float32Array(3))]).toEqual([0, 0, 0])
  })
})

describe('zeroPointInt8()', () => {
  test('is off by 0.003294 on average there, and handles constants', () => {
    const back = zeroPointInt8(VALUES)
    const error = VALUES.reduce((sum, value, i) => sum + Math.abs(value - back[i]), 0) / VALUES.length
    expect(error).toBeCloseTo(0.003294, 6)
    expect([...zeroPointInt8(Float32Array.of(0, 3)).slice(1)]).toEqual([3])
    expect(zeroPointInt8(Float32Array.of(0.25))[0]).toBeCloseTo(0.25098, 5)
    expect([3, -3, 0].map((value) => zeroPointInt8(Float32Array.of(value))[0])).toEqual([3, -3, 0])
  })
})

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
