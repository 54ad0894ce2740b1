import { rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test, vi } from 'vitest'
import { perplexity } from '../../src/eval/perplexity.ts'
import { DenseProducts } from '../../src/kernels/dense.ts'
import { defineModifier } from '../../src/modifiers/define.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { quantizeToGrid } from '../../src/schemes/quantize.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { CALIBRATION, recipeOf, runTiny, tinyWith } from './runs.ts'

useEngine('wasm')

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })

/** The tiny model with one element that is not finite. */
async function brokenAt(tensor: string, element: number, bf16: number): Promise<string> {
  const model = await tinyWith({})
  await editWeights(model, (bytes) => {
    bytes.writeUInt16LE(bf16, tensorStart(bytes, tensor) + 2 * element)
    return bytes
  })
  return model
}

describe('oneshot', () => {
  test('has the tokenizer in hand before it computes: the model folder may be moved meanwhile', async () => {
    const model = await tinyWith({})
    const tokenizer = await readFile(join(model, 'tokenizer.json'))
    const { output } = await runTiny(RTN, {
      model,
      onProgress: ({ type }) => {
        if (type === 'layer:start') rmSync(join(model, 'tokenizer.json'), { force: true })
      },
    })
    expect(await readFile(join(output, 'tokenizer.json'))).toEqual(tokenizer)
  })

  test.each([
    ['model.norm.weight', 3, 0x7fc0, 'NaN'],
    ['model.layers.1.post_attention_layernorm.weight', 5, 0x7f80, 'Infinity'],
    ['model.embed_tokens.weight', 40_959, 0xff80, '-Infinity'],
  ])('without data finds what is not finite outside the targets: %s', async (tensor, element, bits, value) => {
    const folder = await temporaryFolder()
    const failure = runTiny(RTN, { model: await brokenAt(tensor, element, bits), output: join(folder, 'out') })
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(`Cannot copy ${tensor}: found ${value} at element ${element}`)
    expect(await readdir(folder)).toEqual([])
  })

  test('with a fallback, too, refuses what is beyond the type of the scales', async () => {
    const folder = await temporaryFolder()
    // -3.38e38, whose plain scale rounds to infinity.
    const model = await brokenAt('model.layers.0.mlp.up_proj.weight', 7, 0xff7e)
    const failure = runTiny(RTN, { model, output: join(folder, 'out'), allowFallback: true })
    await expect(failure).rejects.toThrow(/Cannot compress model\.layers\.0\.mlp\.up_proj: rounded plainly, too, the result is not finite/)
    expect(await readdir(folder)).toEqual([])
  })

  test.each([
    ['model.embed_tokens.weight', 40_959],
    ['model.norm.weight', 3],
    ['model.layers.1.post_attention_layernorm.weight', 5],
  ])('with data finds what is not finite outside the targets before the first layer: %s', async (tensor, element) => {
    const folder = await temporaryFolder()
    const types: string[] = []
    const onProgress = ({ type }: ProgressEvent) => types.push(type)
    const failure = runTiny(GPTQ, { model: await brokenAt(tensor, element, 0x7fc0), output: join(folder, 'out'), onProgress })
    await expect(failure).rejects.toThrow(`Cannot copy ${tensor}: found NaN at element ${element}, expected finite numbers`)
    expect(types).not.toContain('layer:start')
    expect(await readdir(folder)).toEqual([])
  })

  test.each(['model.layers.0.post_attention_layernorm.weight', 'model.layers.1.post_attention_layernorm.weight'])(
    'leaves no tensor on the engine when %s is NaN',
    async (tensor) => {
      const model = await brokenAt(tensor, 0, 0x7fc0)
      const before = tf.memory().numTensors
      await expect(runTiny(GPTQ, { model })).rejects.toThrow(tensor)
      expect(tf.memory().numTensors).toBe(before)
    },
  )

  test('leaves no tensor on the engine when a result cannot be stored', async () => {
    const scant = defineModifier({
      names: ['ScantModifier'],
      description: 'Gives one scale too many.',
      schema: { type: 'object', additionalProperties: false, properties: { scheme: { type: 'string' } } },
      quantizes: true,
      needs: () => 'inputs',
      create: () => ({
        async apply(_stage, targets) {
          for (const [linear, { weights }] of targets) {
            const { name, weight, rows, columns, dtype } = linear
            if (!weights) continue
            const grid = minMaxGrid(weight, rows, columns, weights, dtype)
            const quantized = quantizeToGrid(weight, rows, columns, weights, grid)
            linear.quantized = { ...quantized, scale: Float32Array.of(...grid.scale, 1) }
            linear.report = { name, method: 'scant', scheme: '', error: 0, errorOf: 'weights', seconds: 0 }
          }
        },
      }),
    })
    const before = tf.memory().numTensors
    await expect(runTiny({ modifiers: { ScantModifier: { scheme: 'W8A16' } } }, { modifiers: [scant] })).rejects.toThrow(/scales/)
    expect(tf.memory().numTensors).toBe(before)
  })

  test.each([1, 5, 12, 30, 60, 61, 62])('leaves no tensor on the engine when its %d. product fails', async (nth) => {
    const before = tf.memory().numTensors
    const failing = failAt(nth)
    await expect(runTiny(GPTQ)).rejects.toThrow('out of memory')
    failing.mockRestore()
    expect(tf.memory().numTensors).toBe(before)
  })
})

/** Makes the nth product fail, as full memory would. */
function failAt(nth: number) {
  const original = DenseProducts.prototype.multiply
  let calls = 0
  return vi.spyOn(DenseProducts.prototype, 'multiply').mockImplementation(function (this: DenseProducts, ...operands) {
    if (++calls === nth) throw new Error('out of memory')
    original.apply(this, operands)
  })
}

describe('perplexity', () => {
  const score = (checkpoint: string) => perplexity(checkpoint, { dataset: CALIBRATION, window: 64, engine: 'wasm' })

  test.each(['model.layers.0.post_attention_layernorm.weight', 'model.layers.1.mlp.up_proj.weight', 'model.norm.weight'])(
    'leaves no tensor on the engine when %s is NaN',
    async (tensor) => {
      const model = await brokenAt(tensor, 0, 0x7fc0)
      const before = tf.memory().numTensors
      await expect(score(model)).rejects.toThrow(tensor)
      expect(tf.memory().numTensors).toBe(before)
    },
  )

  test.each([1, 5, 12, 30, 60])('leaves no tensor on the engine when its %d. product fails', async (nth) => {
    const before = tf.memory().numTensors
    const failing = failAt(nth)
    await expect(score(oracleFolder('checkpoints/fp8-dynamic'))).rejects.toThrow('out of memory')
    failing.mockRestore()
    expect(tf.memory().numTensors).toBe(before)
  })
})
