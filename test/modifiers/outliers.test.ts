import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleRows, runForward } from '../models/oracles.ts'
import { openForTest, runTiny, TINY } from '../oneshot/runs.ts'
import { floatCopy } from './float-copy.ts'

useEngine('wasm')

const rows = oracleRows('checkpoints/input_ids.safetensors', 'eval').slice(0, 2)
/** Channels of the residual stream that the norms blow up, and by how much. */
const OUTLIERS = [5, 60, 101]
const FACTOR = 30

/**
 * The tiny model in float32 with outliers planted in the inputs that read a norm. The weights that read them are as small as the inputs are
 * large, so that the model computes what it did.
 */
async function planted(): Promise<string> {
  return floatCopy(
    TINY,
    (name, values, shape) => {
      if (/layers\.\d+\.(input|post_attention)_layernorm/.test(name)) for (const channel of OUTLIERS) values[channel] *= FACTOR
      if (!/layers\.\d+\..*(q|k|v|gate|up)_proj/.test(name)) return
      const columns = shape[1]
      for (let row = 0; row < shape[0]; row++) for (const channel of OUTLIERS) values[row * columns + channel] /= FACTOR
    },
    { dtype: 'float32' },
  )
}

/** What a recipe makes of the model: relative squared error of the logits, inputs quantized where the scheme says so. */
async function logitError(model: string, recipe: string): Promise<number> {
  const { output } = await runTiny(recipe, { model })
  const [before, after] = await Promise.all([runForward(model, rows), runForward(output, rows)])
  let error = 0
  let total = 0
  for (const [i, value] of before.logits.entries()) {
    error += (after.logits[i] - value) ** 2
    total += value ** 2
  }
  return error / total
}

describe('a model with outlier channels', () => {
  test('SmoothQuant lowers the error of 8-bit weights and inputs', async () => {
    const model = await planted()
    const w8a8 = 'QuantizationModifier: {scheme: W8A8, ignore: [lm_head]}'
    const plain = await logitError(model, w8a8)
    const smoothed = await logitError(model, `SmoothQuantModifier: {smoothing_strength: 0.5}\n${w8a8}`)
    expect(smoothed).toBeLessThan(plain / 3)
  })

  test('logarithmic equalization lowers it too', async () => {
    const model = await planted()
    const w8a8 = 'QuantizationModifier: {scheme: W8A8, ignore: [lm_head]}'
    const plain = await logitError(model, w8a8)
    expect(await logitError(model, `LogarithmicEqualizationModifier: {}\n${w8a8}`)).toBeLessThan(plain / 3)
  })

  test('AWQ lowers the error of 4-bit weights', async () => {
    const model = await planted()
    const w4 = 'QuantizationModifier: {scheme: W4A16_ASYM, ignore: [lm_head], weight_observer: memoryless_minmax}'
    const plain = await logitError(model, w4)
    // Most of it is left: rounding these random weights to 4 bits loses more than the outliers add.
    for (const duo of ['true', 'false', 'both']) {
      expect(await logitError(model, `AWQModifier: {duo_scaling: ${duo}}\n${w4}`)).toBeLessThan(0.65 * plain)
    }
  })

  test('smoothing alone leaves the logits as they were, and the checkpoint in float32', async () => {
    const model = await planted()
    const { output, linears } = await runTiny('SmoothQuantModifier: {smoothing_strength: 0.8}\n', { model })
    expect(linears).toEqual([])
    const config = JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))
    expect(config).not.toHaveProperty('quantization_config')
    expect(config.dtype).toBe('float32')
    const [before, after] = await Promise.all([runForward(model, rows), runForward(output, rows)])
    expect(largestDifference(before.logits, after.logits)).toBeLessThan(1e-4)
    const [one, two] = await Promise.all([model, output].map((folder) => openForTest(folder)))
    const norm = 'model.layers.0.input_layernorm.weight'
    const [was, is] = await Promise.all([one, two].map(({ reader }) => reader.readFloats(norm)))
    for (const channel of OUTLIERS) expect(Math.abs(is[channel])).toBeLessThan(Math.abs(was[channel]) / 5)
  })
})
