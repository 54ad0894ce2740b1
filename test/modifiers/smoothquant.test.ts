import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { modifier as logarithmic } from '../../src/modifiers/logarithmic-equalization.ts'
import type { Linear } from '../../src/modifiers/modifier.ts'
import { modifier as smoothquant } from '../../src/modifiers/smoothquant.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { RecipeError, RunError } from '../../src/util/errors.ts'
import { random, useEngine } from '../engine/engines.ts'
import { outputs, relativeDifference, rescale } from './rescaling-stage.ts'
import { linearOf } from './stages.ts'

useEngine('wasm')

interface Golden {
  rows: number
  columns: number
  inputs: number[]
  smoothquant: { weights: number[][]; cases: { algorithm: string; strength: number; factors: number[] }[] }
}

/** Made by transforms.py with llm-compressor. */
const golden: Golden = JSON.parse(readFileSync(new URL('./transforms.json', import.meta.url), 'utf8'))

function goldenLinears(): Linear[] {
  const { columns, smoothquant } = golden
  return smoothquant.weights.map((weight, i) => linearOf(`linear ${i}`, weight.length / columns, columns, Float32Array.from(weight)))
}

describe('SmoothQuantModifier', () => {
  test.each(golden.smoothquant.cases)('$algorithm, strength $strength: the factors of llm-compressor', async (golden_) => {
    const { algorithm, strength, factors } = golden_
    const modifier = smoothquant.create({ algorithm, smoothing_strength: strength } as never)
    const [asked] = await rescale(modifier, goldenLinears(), new Map(), Float32Array.from(golden.inputs))
    expect(relativeDifference(asked, factors)).toBeLessThan(1e-5)
  })

  test('asks once for each stage, says so on every linear, and leaves the outputs as they were', async () => {
    const linears = goldenLinears()
    const input = Float32Array.from(golden.inputs)
    const before = linears.map((linear) => outputs(input, linear))
    expect(await rescale(smoothquant.create({} as never), linears, new Map(), input)).toHaveLength(1)
    for (const [i, linear] of linears.entries()) {
      expect(linear.rescaled).toEqual([{ by: 'SmoothQuant' }])
      const scale = Math.max(...before[i].map(Math.abs))
      expect(Math.max(...outputs(input, linear).map((y, j) => Math.abs(y - before[i][j])))).toBeLessThan(1e-5 * scale)
    }
  })

  test('evens out the ranges of the input channels', async () => {
    const input = Float32Array.from(golden.inputs)
    const { columns } = golden
    const spread = () => {
      const largest = Array.from({ length: columns }, (_, c) =>
        input.reduce((max, x, i) => (i % columns === c ? Math.max(max, Math.abs(x)) : max), 0),
      )
      return Math.max(...largest) / Math.min(...largest)
    }
    const before = spread()
    await rescale(smoothquant.create({ smoothing_strength: 0.8 } as never), goldenLinears().slice(0, 1), new Map(), input)
    expect(before).toBeGreaterThan(20)
    expect(spread()).toBeLessThan(before / 4)
  })

  test('takes channels without any input down to the smallest factor, as llm-compressor', async () => {
    const input = random(40 * golden.columns, 3).map((x, i) => (i % golden.columns === 5 ? 0 : x))
    const [asked] = await rescale(smoothquant.create({} as never), goldenLinears(), new Map(), input)
    expect(asked[5]).toBeCloseTo(1e-5, 10)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('names the stage and the channel of an input that is %d', async (value) => {
    const input = random(40 * golden.columns, 3)
    input[7 * golden.columns + 11] = value
    const failure = rescale(smoothquant.create({} as never), goldenLinears(), new Map(), input)
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/model\.layers\.0 · attention inputs: input channel 11 is not finite/)
  })

  test('mappings are pairs of linears and what they read', () => {
    const mappings = [
      [['re:.*q_proj', 're:.*k_proj'], 're:.*input_layernorm'],
      ['re:.*fc1', 'norm'],
    ]
    expect(smoothquant.rescales?.mappings({ mappings } as never)).toEqual([
      { balance: ['re:.*q_proj', 're:.*k_proj'], smooth: 're:.*input_layernorm', path: ['mappings', 0] },
      { balance: ['re:.*fc1'], smooth: 'norm', path: ['mappings', 1] },
    ])
    expect(smoothquant.rescales?.mappings({} as never)).toBeNull()
    expect(smoothquant.rescales?.mappings({ mappings: null } as never)).toBeNull()
    expect(smoothquant.rescales?.ignore({ ignore: 'lm_head' } as never)).toEqual(['lm_head'])
    expect(smoothquant.rescales?.ignore({ ignore: null } as never)).toEqual([])
  })

  test.each([
    ['smoothing_strength: 1.5', /smoothing_strength: found 1\.5, expected a number from 0 to 1/],
    ['smoothing_strength: -0.1', /found -0\.1, expected a number from 0 to 1/],
    ['smoothing_strength: "0.5"', /found "0\.5"/],
    ['algorithm: logarithmic', /found "logarithmic", expected one of "smoothquant", "log_equalization"/],
    ['mappings: [[re:.*q_proj]]', /mappings\.0/],
    ['mappings: [[[re:.*q_proj], norm, more]]', /mappings\.0/],
    ['mappings: []', /mappings/],
    ['smooth_strength: 0.5', /did you mean "smoothing_strength"/],
  ])('%s is refused with its place in the recipe', async (options, message) => {
    const failure = loadRecipe(`SmoothQuantModifier: {${options}}\nGPTQModifier: {scheme: W8A8}`)
    await expect(failure).rejects.toThrow(RecipeError)
    await expect(failure).rejects.toThrow(message)
  })

  test('the recipe that llm-compressor saves is taken as it is', async () => {
    const saved = new URL('../oracles/checkpoints/smoothquant-gptq-w8a8/recipe.yaml', import.meta.url)
    const { modifiers } = await loadRecipe(readFileSync(saved, 'utf8'))
    expect(modifiers.map(({ definition }) => definition.names[0])).toEqual(['SmoothQuantModifier', 'GPTQModifier'])
    expect(smoothquant.rescales?.mappings(modifiers[0].options as never)).toHaveLength(2)
  })
})

describe('LogarithmicEqualizationModifier', () => {
  test('is SmoothQuantModifier with that algorithm', async () => {
    const { factors } = golden.smoothquant.cases.find(({ algorithm }) => algorithm === 'log_equalization') ?? { factors: [] }
    const linears = goldenLinears()
    const [asked] = await rescale(logarithmic.create({} as never), linears, new Map(), Float32Array.from(golden.inputs))
    expect(relativeDifference(asked, factors)).toBeLessThan(1e-5)
    expect(linears[0].rescaled).toEqual([{ by: 'log equalization' }])
  })

  test('has no other algorithm', async () => {
    const text = 'LogarithmicEqualizationModifier: {algorithm: smoothquant}\nGPTQModifier: {scheme: W8A8}'
    await expect(loadRecipe(text)).rejects.toThrow(/expected one of "log_equalization"/)
  })
})
