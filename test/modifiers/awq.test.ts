import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { channelFactors, type DuoScaling, gridPoints, meanWeights } from '../../src/modifiers/awq/grid.ts'
import { modifier as awq } from '../../src/modifiers/awq.ts'
import type { Linear } from '../../src/modifiers/modifier.ts'
import { modifier as rtn } from '../../src/modifiers/rtn.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../../src/schemes/quantize.ts'
import { RecipeError, RunError } from '../../src/util/errors.ts'
import { args, scheme } from '../checkpoint/schemes.ts'
import { random, useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { outputs, relativeDifference, rescale } from './rescaling-stage.ts'
import { linearOf } from './stages.ts'

useEngine('wasm')

interface Case {
  scheme: Partial<QuantizationArgs>
  duo: DuoScaling
  grid: number
  points: [ratio: number, duo: boolean][]
  meanWeights: number[]
  factors: number[]
  lossBefore: number
  lossAfter: number
}

/** Made by transforms.py with llm-compressor. */
const golden: { rows: number; columns: number; inputs: number[]; awq: { weight: number[]; cases: Case[] } } = JSON.parse(
  readFileSync(new URL('./transforms.json', import.meta.url), 'utf8'),
)
const cases = golden.awq.cases.map((item) => ({
  ...item,
  label: `${item.scheme.num_bits} bits ${item.scheme.strategy}, duo ${item.duo}, ${item.grid}`,
}))

/** In float32, as the reference. */
function goldenLinear(name = 'linear'): Linear {
  return { ...linearOf(name, golden.rows, golden.columns, Float32Array.from(golden.awq.weight)), dtype: 'F32' }
}

/** With the observer that the reference rounds by; what names none is rounded by searched scales. */
const minMax = { observer: 'memoryless_minmax' } as const
const schemeOf = (item: Case) => scheme({ weights: args({ ...item.scheme, ...minMax }) })
const W4 = scheme({ weights: args({ num_bits: 4, strategy: 'group', group_size: 16, symmetric: false, ...minMax }) })

describe('gridPoints()', () => {
  test.each(cases)('$label: the points of llm-compressor, in its order', ({ duo, grid, points }) => {
    const found = gridPoints(duo, grid)
    expect(found.map((point) => point.duo)).toEqual(points.map(([, on]) => on))
    expect(found.map(({ ratio }) => Math.round(ratio * 1e8) / 1e8)).toEqual(points.map(([ratio]) => ratio))
  })

  test.each([true, false, 'both'] as const)('duo %s: the first leaves everything as it is, for the smallest grid too', (duo) => {
    expect(gridPoints(duo, 2)[0]).toEqual({ ratio: 0, duo: false })
  })
})

describe('meanWeights()', () => {
  test.each(cases)('$label: the means of llm-compressor', (item) => {
    const found = meanWeights(new Map([[goldenLinear(), schemeOf(item)]]))
    expect(relativeDifference(found, item.meanWeights)).toBeLessThan(1e-6)
  })

  test('of several linears is over all their rows', () => {
    const [one, two] = [goldenLinear(), linearOf('two', 4, golden.columns, random(4 * golden.columns, 9))]
    const each = [one, two].map((linear) => meanWeights(new Map([[linear, W4]])))
    const both = meanWeights(new Map([one, two].map((linear) => [linear, W4])))
    for (let c = 0; c < golden.columns; c++)
      expect(both[c]).toBeCloseTo((golden.rows * each[0][c] + 4 * each[1][c]) / (golden.rows + 4), 10)
  })
})

describe('AWQModifier', () => {
  test.each(cases)('$label: the factors and losses of llm-compressor', async (item) => {
    const linear = goldenLinear()
    const input = Float32Array.from(golden.inputs)
    const power = outputs(input, linear).reduce((sum, y) => sum + y * y, 0) / (input.length / golden.columns)
    const modifier = awq.create({ duo_scaling: item.duo, n_grid: item.grid } as never)
    const asked = await rescale(modifier, [linear], new Map([[linear, schemeOf(item)]]), input)
    expect(asked).toHaveLength(1)
    expect(relativeDifference(asked[0], item.factors)).toBeLessThan(1e-5)
    const [report] = linear.rescaled ?? []
    expect(report.by).toBe('AWQ')
    // The reference's loss is a mean over outputs. The largest weight of a symmetric group lies half-way between two codes: the last bit
    // of its product with a factor decides where it goes.
    expect(Math.abs(((report.lossBefore ?? 0) * power) / golden.rows / item.lossBefore - 1)).toBeLessThan(1e-4)
    expect(Math.abs(((report.lossAfter ?? 0) * power) / golden.rows / item.lossAfter - 1)).toBeLessThan(0.01)
  })

  test('finds about the best factors of many rows by a part of them, and reports the losses of all', async () => {
    const rows = 640
    const linear: Linear = { ...linearOf('linear', rows, golden.columns, random(rows * golden.columns, 21)), dtype: 'F32' }
    const targets = new Map([[linear, W4]])
    const input = Float32Array.from(golden.inputs)
    const weights = meanWeights(targets)
    const means = Array.from({ length: golden.columns }, (_, c) => {
      const values = input.filter((_, i) => i % golden.columns === c).map(Math.abs)
      return values.reduce((sum, x) => sum + x, 0) / values.length
    })
    const before = outputs(input, linear)
    // By the definition, in float64: round W s, divide by s, multiply.
    const losses = gridPoints(true, 20).map((point) => {
      const factors = channelFactors(point, Float32Array.from(means), weights)
      const scaled = linear.weight.map((w, i) => w * factors[i % golden.columns])
      const grid = minMaxGrid(scaled, rows, golden.columns, W4.weights ?? args({}), 'F32')
      const rounded = dequantize(quantizeToGrid(scaled, rows, golden.columns, W4.weights ?? args({}), grid))
      const after = outputs(input, { ...linear, weight: rounded.map((w, i) => w / factors[i % golden.columns]) })
      return after.reduce((sum, y, i) => sum + (y - before[i]) ** 2, 0) / before.reduce((sum, y) => sum + y ** 2, 0)
    })
    await rescale(awq.create({} as never), [linear], targets, input)
    const [report] = linear.rescaled ?? []
    expect(report.lossBefore).toBeCloseTo(losses[0], 6)
    expect(report.lossAfter).toBeLessThan(1.01 * Math.min(...losses))
    expect(report.lossAfter).toBeGreaterThan(0.999 * Math.min(...losses))
  })

  test('measures its loss over all linears that will be quantized, and rescales the others with them', async () => {
    const [one, two] = [goldenLinear('one'), goldenLinear('two')]
    const input = Float32Array.from(golden.inputs)
    const before = outputs(input, two)
    await rescale(awq.create({} as never), [one, two], new Map([[one, W4]]), input)
    expect(one.rescaled).toEqual(two.rescaled)
    expect(one.weight).toEqual(two.weight)
    const after = outputs(input, two)
    const scale = Math.max(...before.map(Math.abs))
    expect(Math.max(...after.map((y, i) => Math.abs(y - before[i])))).toBeLessThan(1e-5 * scale)
  })

  test.each([
    ['symmetric', { num_bits: 4, strategy: 'group', group_size: 16 }],
    ['asymmetric', { num_bits: 3, strategy: 'group', group_size: 32, symmetric: false }],
  ] as const)('judges by what QuantizationModifier makes of the rescaled weights: %s', async (_, weights) => {
    const linear = goldenLinear()
    const targets = new Map([[linear, scheme({ weights: args(weights) })]])
    const input = Float32Array.from(golden.inputs)
    const before = outputs(input, linear)
    await rescale(awq.create({} as never), [linear], targets, input)
    await rescale(rtn.create({} as never), [linear], targets, input)
    if (!linear.quantized) throw new Error('not quantized')
    const after = outputs(input, { ...linear, weight: dequantize(linear.quantized) })
    const loss = after.reduce((sum, y, i) => sum + (y - before[i]) ** 2, 0) / before.reduce((sum, y) => sum + y ** 2, 0)
    const [report] = linear.rescaled ?? []
    expect(report.lossAfter).toBeLessThan(report.lossBefore ?? 0)
    expect(Math.abs(loss / (report.lossAfter ?? 0) - 1)).toBeLessThan(1e-4)
  })

  test('leaves a stage alone where nothing is better, and says so', async () => {
    // Weights on the grid already: nothing to gain.
    const weight = random(golden.rows * golden.columns, 4).map((w, i) => (i % 16 === 0 ? 7.5 : Math.round(w * 7)))
    const linear: Linear = { ...linearOf('linear', golden.rows, golden.columns, weight), dtype: 'F32' }
    const symmetric = scheme({ weights: args({ num_bits: 4, strategy: 'group', group_size: 16 }) })
    const asked = await rescale(
      awq.create({ n_grid: 2 } as never),
      [linear],
      new Map([[linear, symmetric]]),
      Float32Array.from(golden.inputs),
    )
    const [report] = linear.rescaled ?? []
    expect(asked).toEqual([])
    expect(report.lossAfter).toBe(report.lossBefore)
  })

  test('takes back factors that the rounding of the source makes worse than none', async () => {
    const linear = goldenLinear()
    const original = linear.weight.slice()
    const input = Float32Array.from(golden.inputs)
    let calls = 0
    // A source that turns the first factors upside down, and takes the second as they are.
    const spoil = (divisors: Float32Array) => (calls++ === 0 ? divisors.map((divisor) => 1 / divisor) : divisors)
    const asked = await rescale(awq.create({} as never), [linear], new Map([[linear, W4]]), input, spoil)
    expect(asked).toHaveLength(2)
    expect(relativeDifference(linear.weight, original)).toBeLessThan(1e-6)
    expect(relativeDifference(input, Float32Array.from(golden.inputs))).toBeLessThan(1e-6)
    const [report] = linear.rescaled ?? []
    expect(report.lossAfter).toBe(report.lossBefore)
  })

  test('names the stage and the channel of an input that is not a number', async () => {
    const input = Float32Array.from(golden.inputs)
    input[3 * golden.columns + 9] = Number.NaN
    const linear = goldenLinear()
    const failure = rescale(awq.create({} as never), [linear], new Map([[linear, W4]]), input)
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/model\.layers\.0 · attention inputs: input channel 9 is not finite/)
  })

  test.each([
    ['duo_scaling: yes please', /duo_scaling: found "yes please", expected one of true, false, "both"/],
    ['n_grid: 1', /n_grid: found 1, expected a whole number from 2 to 1000/],
    ['mappings: [{smooth_layer: norm}]', /found no "balance_layers"/],
    ['mappings: [[[re:.*q_proj], norm]]', /mappings\.0/],
  ])('%s is refused with its place in the recipe', async (options, message) => {
    const failure = loadRecipe(`AWQModifier: {${options}}\nQuantizationModifier: {scheme: W4A16_ASYM}`)
    await expect(failure).rejects.toThrow(RecipeError)
    await expect(failure).rejects.toThrow(message)
  })

  test.each(['scheme: W4A16_ASYM', 'targets: [Linear]', 'ignore: [lm_head]'])('%s belongs to the modifier after it', async (option) => {
    const recipe = `AWQModifier: {${option}}\nQuantizationModifier: {scheme: W4A16_ASYM, ignore: [lm_head]}`
    const failure = planRun({ model: oracleFolder('tiny'), recipe, output: oracleFolder('nowhere') })
    await expect(failure).rejects.toThrow(RecipeError)
    await expect(failure).rejects.toThrow(/expected \w+ on a QuantizationModifier after it \(.*:1:/)
  })

  test('one scale for a whole tensor needs duo_scaling: false', async () => {
    const recipe = (options: string) => `AWQModifier: {${options}}
QuantizationModifier:
  ignore: [lm_head]
  config_groups: {all: {targets: [Linear], weights: {num_bits: 8, strategy: tensor}}}`
    const plan = (options: string) => planRun({ model: oracleFolder('tiny'), recipe: recipe(options), output: oracleFolder('nowhere') })
    await expect(plan('')).rejects.toThrow(/duo_scaling: false/)
    await expect(plan('duo_scaling: both')).rejects.toThrow(RecipeError)
    await (await plan('duo_scaling: false')).close()
  })

  test('the recipe that llm-compressor saves is taken as it is', async () => {
    const saved = new URL('../oracles/checkpoints/awq-w4a16-asym/recipe.yaml', import.meta.url)
    const { modifiers } = await loadRecipe(readFileSync(saved, 'utf8'))
    expect(modifiers.map(({ definition }) => definition.names[0])).toEqual(['AWQModifier', 'QuantizationModifier'])
    expect(awq.rescales?.mappings(modifiers[0].options as never)).toHaveLength(4)
  })
})
