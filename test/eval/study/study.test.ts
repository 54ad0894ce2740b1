import { readFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/checkpoint/file-hash.ts'
import { countWeights } from '../../../src/eval/study/count-weights.ts'
import { parameterNames, quantizedView } from '../../../src/eval/study/quantized-view.ts'
import { studiedSizes } from '../../../src/eval/study/sizes.ts'
import { type StudyOptions, study } from '../../../src/eval/study/study.ts'
import { describedCheckpoint } from '../../../src/models/described-checkpoint.ts'
import { DataError, UserError } from '../../../src/util/errors.ts'
import { temporaryFolder } from '../../checkpoint/folders.ts'
import { editHeader, editWeights, tensorStart } from '../../e2e/model-copy.ts'
import { useEngine } from '../../engine/engines.ts'
import { openForTest, recipeOf, runTiny, TINY } from '../../oneshot/runs.ts'
import { gpt2 } from './gpt2.ts'

useEngine('wasm')

/** Made by golden.py with torch, transformers and bitsandbytes. */
interface Golden {
  text: string
  window: number
  prompt: string
  maxLength: number
  models: Record<string, { perplexity: number; ids: number[]; counts: number[] }>
  parameters: number
  int8: { footprint: number; scales: number }
}

const golden: Golden = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8'))
const WEIGHT = 'transformer.h.0.attn.c_attn.weight'

const ask = async (options: Partial<StudyOptions> = {}) =>
  study({ model: options.model ?? (await gpt2()), text: [golden.text], window: golden.window, engine: 'wasm', threads: 1, ...options })

describe('study()', () => {
  test('of GPT-2 finds what torch, transformers and bitsandbytes find', async () => {
    const before = tf.memory().numTensors
    // Of one token there is only one to draw.
    const { models, histograms, parameters, edges } = await ask({ windows: 1, maxLength: golden.maxLength, topK: 1 })
    expect(tf.memory().numTensors).toBe(before)
    expect(parameters).toBe(golden.parameters)
    expect([edges.length, edges[0], edges[150]]).toEqual([151, -2, 2])
    expect(models.map(({ name }) => name)).toEqual(['original', 'absmax', 'zero-point'])
    for (const [i, { name, perplexity, text }] of models.entries()) {
      const expected = golden.models[name]
      // Of logits past 100, in float32.
      expect(Math.abs(Math.log(perplexity / expected.perplexity))).toBeLessThan(2e-4)
      expect(text).toBe(expected.ids.map((id) => String.fromCharCode(32 + id)).join(''))
      expect(histograms[i].counts).toEqual(expected.counts)
    }
  })

  test('leaves the files as they are, says so, and begins the draws anew for each model', async () => {
    const model = await gpt2()
    const hash = async () => sha256(await readFile(join(model, 'model.safetensors')))
    const before = await hash()
    const found = await ask({ model, seed: 3 })
    expect(await hash()).toBe(before)
    expect(found.files.find(({ name }) => name === 'model.safetensors')).toMatchObject({ before, after: before })
    expect(found.models[0]).toMatchObject({ klDivergence: 0, topOneAgreement: 1, perplexityDifference: 0 })
    const again = await ask({ model, seed: 3 })
    expect(again.models).toEqual(found.models)
    expect((await ask({ model, seed: 4 })).models[0].text).not.toBe(found.models[0].text)
  })

  test('shows the first weight of attention with its codes', async () => {
    const { weight } = await ask()
    expect(weight).toMatchObject({ name: WEIGHT, shape: [32, 96], dtype: 'BF16', file: 'model.safetensors' })
    const { values, absmax, zeroPoint } = weight
    for (const [i, value] of values.entries()) {
      expect(Math.abs(absmax.codes[i] / absmax.multiplier - value)).toBeLessThanOrEqual(0.5 / absmax.multiplier + 1e-9)
      expect(Math.abs((zeroPoint.codes[i] - zeroPoint.zeroPoint) / zeroPoint.multiplier - value)).toBeLessThanOrEqual(
        1 / zeroPoint.multiplier + 1e-9,
      )
    }
  })

  test('the sentence says who lost less and what LLM.int8() saves', async () => {
    const { verdict, models } = await ask()
    const [better, worse] = models.slice(1).sort((a, b) => a.klDivergence - b.klDivergence)
    expect(verdict).toMatch(new RegExp(`^${better.name} lost less than ${worse.name}|lost alike`, 'i'))
    expect(verdict).toMatch(/LLM\.int8\(\) saves [\d.]+ %: 59\.3 kB in place of 92\.7 kB, 1\.56 times smaller/)
  })

  test('of a Llama in bfloat16 takes the same path', async () => {
    const found = await study({ model: TINY, prompt: 'token', windows: 1, engine: 'wasm', threads: 1 })
    expect(found.models).toHaveLength(3)
    expect(found.parameters).toBe(336_512)
  })
})

describe('the copies', () => {
  test.each(['absmax', 'zero-point'] as const)(
    '%s: every parameter has at most 256 values, read in any way, each at most a step away',
    async (name) => {
      const source = await openForTest(await gpt2())
      const names = parameterNames(source)
      expect(new Set(names)).toEqual(new Set(source.reader.tensors.keys()))
      const { ranges } = await countWeights(source, names, { range: [-2, 2], bins: 150 })
      const view = quantizedView(source, name, ranges)
      for (const tensor of names) {
        const values = await view.reader.readFloats(tensor)
        expect(new Set(values).size).toBeLessThanOrEqual(name === 'absmax' ? 255 : 256)
        // What is generated with reads bytes, what is scored with reads floats.
        expect(sha256(await view.reader.read(tensor))).toBe(sha256(await concatenated(view.reader.readChunks(tensor))))
        const original = await source.reader.readFloats(tensor)
        const { min, max } = ranges.get(tensor) ?? { min: 0, max: 0 }
        const step = name === 'absmax' ? Math.max(-min, max) / 127 : (max - min || 1) / 255
        // A step and a rounding to bfloat16.
        const bound = step + Math.max(-min, max) * 2 ** -8
        expect(values.every((value, i) => Math.abs(value - original[i]) <= bound)).toBe(true)
        if (original.length > 256) expect(values).not.toEqual(original)
      }
    },
  )
})

async function concatenated(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

describe('studiedSizes()', () => {
  test('by the shapes of GPT-2 LLM.int8() takes 163,944,960 bytes and its scales: 3.04 times smaller without them', async () => {
    const folder = await temporaryFolder()
    const config = { model_type: 'gpt2', vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 }
    await writeFile(join(folder, 'config.json'), JSON.stringify(config))
    const [original, absmax, zeroPoint, int8] = studiedSizes(await describedCheckpoint(folder))
    expect(original.bytes).toBe(497_759_232)
    expect([absmax.bytes - absmax.scales, zeroPoint.bytes - zeroPoint.scales]).toEqual([124_439_808, 124_439_808])
    const footprint = int8.bytes - int8.scales
    expect(footprint).toBe(163_944_960)
    expect((original.bytes / footprint).toFixed(2)).toBe('3.04')
    expect((100 * (1 - footprint / original.bytes)).toFixed(1)).toBe('67.1')
    expect(int8.scales).toBe(4 * 12 * (3 * 768 + 768 + 4 * 768 + 768))
    expect([int8.ratio.toFixed(2), (100 * int8.reduction).toFixed(1)]).toEqual(['3.03', '67.0'])
  })

  test('are those of a model that bitsandbytes has loaded and saved', async () => {
    const int8 = studiedSizes(await openForTest(await gpt2()))[3]
    expect({ footprint: int8.bytes - int8.scales, scales: int8.scales }).toEqual(golden.int8)
  })
})

describe('study() refuses', () => {
  test('wrong options, by name', async () => {
    await expect(ask({ topK: -1 })).rejects.toThrow(/option topK/)
    await expect(ask({ prompt: ' ' })).rejects.toThrow(/option prompt/)
    await expect(ask({ range: [2, -2] })).rejects.toThrow(/option range/)
    await expect(study({ model: '' })).rejects.toThrow(UserError)
  })

  test('a prompt that leaves no room, before anything is counted', async () => {
    const steps: string[] = []
    const long = ask({ prompt: 'x'.repeat(200), onStep: (what) => steps.push(what) })
    await expect(long).rejects.toThrow('the prompt has 200 tokens and the model 128 positions')
    await expect(ask({ prompt: 'x'.repeat(60) })).rejects.toThrow('Cannot generate at most 50 tokens in all: the prompt has 60')
    expect(steps).toEqual([])
  })

  test('empty texts, and those of one token', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'empty.txt'), '')
    await expect(ask({ text: join(folder, 'empty.txt') })).rejects.toThrow(DataError)
    await expect(ask({ text: [] })).rejects.toThrow(UserError)
    await expect(ask({ text: ['x'] })).rejects.toThrow(UserError)
  })

  test('a checkpoint without tokenizer', async () => {
    const model = await gpt2()
    await rm(join(model, 'tokenizer.json'))
    await expect(ask({ model })).rejects.toThrow(/tokenizer\.json is missing/)
  })

  test.each([
    ['NaN', 0x7fc0],
    ['Infinity', 0x7f80],
    ['-Infinity', 0xff80],
  ])('%s among the weights, naming tensor and file', async (what, bits) => {
    const model = await gpt2()
    await editWeights(model, (bytes) => {
      bytes.writeUInt16LE(bits, tensorStart(bytes, 'transformer.h.1.ln_2.weight') + 2 * 5)
      return bytes
    })
    await expect(ask({ model })).rejects.toMatchObject({
      name: 'CheckpointError',
      tensor: 'transformer.h.1.ln_2.weight',
      file: 'model.safetensors',
      message: `Cannot quantize transformer.h.1.ln_2.weight of model.safetensors: found ${what} at element 5, expected finite numbers.`,
    })
  })

  test('a compressed checkpoint', async () => {
    const { output } = await runTiny(recipeOf('QuantizationModifier', { scheme: 'W4A16' }))
    await expect(study({ model: output })).rejects.toThrow(/already quantized, expected an original/)
  })
})

describe('study() takes', () => {
  test('a tensor of zeros, which stays zeros', async () => {
    const model = await gpt2()
    await editWeights(model, (bytes) => {
      const start = tensorStart(bytes, WEIGHT)
      bytes.fill(0, start, start + 2 * 32 * 96)
      return bytes
    })
    const { weight, models } = await ask({ model })
    expect([...weight.absmax.codes, ...weight.values]).toEqual(new Array(16).fill(0))
    for (const { perplexity } of models) expect(Number.isFinite(perplexity)).toBe(true)
  })

  test('files with buffers that are no parameters, and a tensor without elements', async () => {
    const model = await gpt2()
    const { parameters } = await ask({ model })
    await editHeader(model, (header) => {
      const end = Math.max(...Object.values(header).flatMap(({ data_offsets = [0, 0] }) => data_offsets))
      header['transformer.h.0.attn.empty'] = { dtype: 'BF16', shape: [0], data_offsets: [end, end] }
      // As published files have it: a mask.
      header['transformer.h.0.attn.bias'] = { dtype: 'F32', shape: [1, 1, 2, 2], data_offsets: [end, end + 16] }
    })
    await editWeights(model, (bytes) => Buffer.concat([bytes, new Uint8Array(16)]))
    expect((await ask({ model })).parameters).toBe(parameters)
  })
})
