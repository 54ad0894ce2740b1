import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { calibrationLines, quantizationLines } from '../../src/cli/int8-log.ts'
import { openEngine } from '../../src/engine/open.ts'
import { modifier, symmetryScore } from '../../src/modifiers/int8.ts'
import type { Linear, Stage } from '../../src/modifiers/modifier.ts'
import { measureActivations } from '../../src/modifiers/statistics/activations.ts'
import { Int8Quantizer } from '../../src/oneshot/int8-quantizer.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'

const engine = await openEngine({ engine: 'wasm', threads: 1 })

/** A stage of linears with one weight each, whose inputs are `batches` [tokens][columns]. */
function stageOf(weights: Record<string, number[][]>, batches: number[][][]): { stage: Stage; linears: Linear[] } {
  const linears = Object.entries(weights).map(([name, rows]): Linear => {
    const weight = Float32Array.from(rows.flat())
    return {
      name,
      rows: rows.length,
      columns: rows[0].length,
      dtype: 'F16',
      scheme: null,
      weight,
      bias: null,
      quantized: null,
      report: null,
    }
  })
  const eachInput: Stage['eachInput'] = async (visit) => {
    for (const batch of batches) {
      const x = tf.tensor2d(batch)
      visit(x, { rows: 1, length: batch.length, heldBack: false, residual: null, original: null })
      x.dispose()
    }
  }
  return { stage: { name: 'a stage', linears, engine, hasInputs: true, eachInput } as unknown as Stage, linears }
}

/** The modifier with options on one linear; `inputs` are its two channels on one token. */
async function quantized(weight: number[][], inputs: number[], options: object = {}): Promise<Linear> {
  const recipe = await loadRecipe({ int8: { strategy: 'tensor', ...options } })
  const [entry] = recipe.modifiers
  const { stage, linears } = stageOf({ 'model.layers.0.self_attn.q_proj': weight }, [[inputs]])
  await modifier.create(entry.options as never).apply(stage, new Map([[linears[0], entry.schemes[0].scheme]]))
  return linears[0]
}

/** Inputs of mean -1 / 2 and deviation 1 / 2: a score of exp(-1); and of mean 0: a score of 1. */
const [LEANING, EVEN] = [
  [-1, 0],
  [-1, 1],
]

describe('symmetryScore', () => {
  test('is what the log of the original tool shows for two layers', () => {
    expect(symmetryScore({ mean: -0.0257, std: 1.1416 })).toBeCloseTo(0.97774, 5)
    expect(symmetryScore({ mean: -0.1851, std: 0.2786 })).toBeCloseTo(0.51459, 5)
  })

  test('is 1 at a mean of zero, and finite without any deviation', () => {
    expect(symmetryScore({ mean: 0, std: 0 })).toBe(1)
    expect(symmetryScore({ mean: 3, std: 0 })).toBe(0)
  })
})

describe('Int8Modifier', () => {
  test('symmetric: absmax over 127 as float16, codes -127 to 127', async () => {
    const { quantized: found, report } = await quantized([[-0.746094, 0.664062]], EVEN)
    expect([...(found?.codes ?? [])]).toEqual([-127, 113])
    expect(report?.int8).toMatchObject({ mode: 'symmetric', score: 1, zeroPoint: null, codes: { min: -127, max: 113 } })
    expect(report?.int8?.scale.min.toFixed(6)).toBe('0.005875')
    expect([...(found?.zeroPoint ?? [])]).toEqual([0])
  })

  test('asymmetric: all 256 codes, the scale as float16, the zero point counted from 0', async () => {
    const { quantized: found, report } = await quantized([[-0.417969, 0.308594]], LEANING)
    expect(report?.int8).toMatchObject({ mode: 'asymmetric', zeroPoint: { min: 147, max: 147 }, codes: { min: 0, max: 255 } })
    // 0.00284927 before it is rounded to float16.
    expect(report?.int8?.scale.min.toFixed(6)).toBe('0.002850')
    expect([...(found?.codes ?? [])]).toEqual([-128, 127])
  })

  test('a score that equals the threshold is asymmetric, and another threshold changes the mode', async () => {
    const mode = async (symmetry_threshold: number) => (await quantized([[1, 2]], EVEN, { symmetry_threshold })).report?.int8?.mode
    expect([await mode(1), await mode(0.99)]).toEqual(['asymmetric', 'symmetric'])
  })

  test('never is further off than half a step, never uses -128 symmetrically, and keeps zero', async () => {
    const weights = fc.array(fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 2, maxLength: 2 }), {
      minLength: 1,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(weights, fc.boolean(), fc.constantFrom('tensor', 'channel'), async (drawn, even, strategy) => {
        const rows = drawn.map((row) => row.map((value) => (Math.abs(value) < 1e-3 ? 0 : value)))
        const { quantized: found, weight } = await quantized(rows, even ? EVEN : LEANING, { strategy })
        if (!found) throw new Error('not quantized')
        const values = dequantize(found)
        for (const [i, value] of values.entries()) {
          const scale = found.scale[strategy === 'tensor' ? 0 : i >> 1]
          // The scale is rounded to float16: to 2^-11 of itself, so the last code may be 255 times that short.
          expect(Math.abs(value - weight[i])).toBeLessThanOrEqual(scale * (0.5 + 255 / 2048) + 1e-7)
          if (weight[i] === 0) expect(value).toBe(0)
          if (even) expect(found.codes[i]).toBeGreaterThanOrEqual(-127)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('statistics of inputs are those of all values, however they come', async () => {
    const values = Array.from({ length: 64 }, (_, i) => [Math.sin(i) * 3 + 1, Math.cos(i * i)])
    const whole = await measureActivations(stageOf({ x: [[1, 1]] }, [values]).stage)
    const parts = await measureActivations(stageOf({ x: [[1, 1]] }, [values.slice(0, 7), values.slice(7, 50), values.slice(50)]).stage)
    const flat = values.flat()
    const mean = flat.reduce((sum, value) => sum + value, 0) / flat.length
    const std = Math.sqrt(flat.reduce((sum, value) => sum + (value - mean) ** 2, 0) / flat.length)
    for (const found of [whole, parts]) {
      expect(Math.abs(found.mean - mean)).toBeLessThan(1e-6)
      expect(Math.abs(found.std - std)).toBeLessThan(1e-6)
      expect(found.max).toBeCloseTo(Math.max(...flat), 5)
    }
  })

  test('logs each layer with the decimals of the original tool', async () => {
    const symmetric = await quantized([[-0.746094, 0.664062]], EVEN)
    const asymmetric = await quantized([[-0.417969, 0.308594]], LEANING)
    const lines = [symmetric, asymmetric].flatMap(({ report }) =>
      report ? [...calibrationLines(report), ...quantizationLines(report)] : [],
    )
    expect(lines.join('\n')).toBe(`Layer model.layers.0.self_attn.q_proj:
  mean: 0.0000
  std: 1.0000
  symmetry_score: 1.0000
Layer model.layers.0.self_attn.q_proj: symmetric quantization (symmetry_score: 1.0000)
  original: min=-0.746094, max=0.664062, mean=-0.041016, std=0.705078
  scale: 0.005875
  quantized: min=-127, max=113
Layer model.layers.0.self_attn.q_proj:
  mean: -0.5000
  std: 0.5000
  symmetry_score: 0.3679
Layer model.layers.0.self_attn.q_proj: asymmetric quantization (symmetry_score: 0.3679)
  original: min=-0.417969, max=0.308594, mean=-0.054688, std=0.363281
  scale: 0.002850
  zero_point: 147.0
  quantized: min=0, max=255`)
  })

  test('a weight that is not finite is an error that names it', async () => {
    await expect(quantized([[Number.NaN, 1]], EVEN)).rejects.toThrow('model.layers.0.self_attn.q_proj.weight')
  })
})

describe('Int8Quantizer', () => {
  test('prepares rows, quantizes a model, and gives what oneshot gives for the same rows', async () => {
    const model = oracleFolder('tiny')
    const quantizer = new Int8Quantizer(model, model, { calibration_samples: 4, length: 32 })
    const rows = await quantizer.prepareCalibrationData()
    expect(rows.map((row) => row.length)).toEqual([32, 32, 32, 32])
    const folder = await temporaryFolder()
    const { linears, files } = await quantizer.quantizeModel(rows, { output: `${folder}/a`, engine: 'wasm' })
    expect(linears).toHaveLength(14)
    for (const { int8, error } of linears) {
      expect(int8?.mode).toBe((int8?.score ?? 0) > 0.6 ? 'symmetric' : 'asymmetric')
      expect(error).toBeLessThan(1e-3)
    }
    const same = await oneshot({
      model,
      recipe: { Int8Modifier: { ignore: ['lm_head'] } },
      dataset: rows,
      output: `${folder}/b`,
      engine: 'wasm',
      numCalibrationSamples: 4,
      maxSeqLength: 32,
    })
    const hashes = (record: typeof same) => record.files.filter(({ name }) => name.endsWith('.safetensors'))
    expect(hashes(same)).toEqual(hashes({ ...same, files }))
  })

  test('the modifier asks for 100 rows where the run does not say, or as many as its options say', async () => {
    expect(modifier.calibrationRows?.({} as never)).toBe(100)
    expect(modifier.calibrationRows?.({ calibration_samples: 7 } as never)).toBe(7)
  })
})
