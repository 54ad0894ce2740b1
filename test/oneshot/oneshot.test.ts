import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { verify } from '../../src/eval/verify.ts'
import { defineModifier } from '../../src/modifiers/define.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { quantizeToGrid } from '../../src/schemes/quantize.ts'
import { schemeLabel } from '../../src/schemes/scheme.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { safetensorsFile, temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder, oracleRows } from '../models/oracles.ts'
import { CALIBRATION, openForTest, recipeOf, runTiny, sameBytes, storedLinears, TINY, tinyWith } from './runs.ts'

useEngine('wasm')

const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })
const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })

const OPTIONS = { scheme: { type: 'string' }, ignore: { type: 'array', items: { type: 'string' } } } as const

const weightsOf = (folder: string) => readFile(join(folder, 'model.safetensors'))
const configOf = async (folder: string) => JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))

describe('oneshot', () => {
  test('takes token rows and texts', async () => {
    const texts = Array.from({ length: 8 }, (_, i) => `The ${i + 1}. of a few sentences, about nothing in particular. `.repeat(3))
    const fromRows = await runTiny(GPTQ)
    const fromTexts = await runTiny(GPTQ, { dataset: texts, numCalibrationSamples: 4, maxSeqLength: 64 })
    expect(fromRows.data).toMatchObject({ source: '16 token rows', rows: 16, tokens: 1024 })
    expect(fromTexts.data).toMatchObject({ source: '8 texts', rows: 4, tokens: 256 })
    expect(sameBytes(await weightsOf(fromRows.output), await weightsOf(fromTexts.output))).toBe(false)
  })

  test('takes model and recipe by position and gives the same bytes', async () => {
    const record = await runTiny(RTN)
    const output = join(await temporaryFolder(), 'out')
    const other = await oneshot(TINY, RTN, { output, engine: 'wasm', threads: 1 })
    expect(other.data).toBeNull()
    expect(sameBytes(await weightsOf(record.output), await weightsOf(output))).toBe(true)
    await expect(oneshot(TINY, undefined as never)).rejects.toThrow('no recipe was given')
  })

  test('writes the record that it returns, and a recipe that gives the same plan', async () => {
    const record = await runTiny(GPTQ)
    expect(JSON.parse(await readFile(join(record.output, 'llmpress-report.json'), 'utf8'))).toEqual(record)
    expect(record.linears).toHaveLength(14)
    expect(record.untouched).toEqual(['lm_head'])
    const others = (await readdir(record.output)).filter((name) => !['llmpress-report.json', 'report.html'].includes(name))
    expect(record.files.map(({ name }) => name).sort()).toEqual(others.sort())
    for (const { name, bytes } of record.files) expect(bytes, name).toBe((await stat(join(record.output, name))).size)
    for (const { method, error, rtnError, damping } of record.linears) {
      expect(method).toBe('GPTQ')
      expect(error).toBeLessThan(rtnError ?? 0)
      expect(damping).toBe(0.01)
    }
    const plan = await planRun({ model: TINY, recipe: join(record.output, 'recipe.yaml') })
    await plan.close()
    expect(plan.config).toEqual(await configOf(record.output))
  })

  test('tells what it does in order', async () => {
    const events: ProgressEvent[] = []
    await runTiny(GPTQ, { onProgress: (event) => events.push(event) })
    const layer = [
      'layer:start',
      ...['stage', 'linear', 'linear', 'linear'],
      ...['stage', 'linear'],
      ...['stage', 'linear', 'linear'],
      ...['stage', 'linear'],
      'layer:done',
    ]
    expect(events.map(({ type }) => type)).toEqual(['plan', 'data', 'engine', ...layer, ...layer, 'done'])
    const stages = events.flatMap((event) => (event.type === 'stage' ? `${event.layer} ${event.stage}` : []))
    expect(stages.slice(0, 4)).toEqual(
      ['attention inputs', 'attention output', 'mlp inputs', 'mlp output'].map((stage) => `model.layers.0 ${stage}`),
    )
  })

  test.each([
    ['GPTQ', GPTQ],
    ['RTN', RTN],
  ])('leaves no tensor on the engine: %s', async (_, recipe) => {
    const before = tf.memory().numTensors
    await runTiny(recipe)
    expect(tf.memory().numTensors).toBe(before)
  })

  test.each(['stage', 'linear', 'layer:done'])('stops at once when aborted at a %s event and leaves nothing behind', async (type) => {
    const folder = await temporaryFolder()
    const controller = new AbortController()
    const before = tf.memory().numTensors
    const seen: string[] = []
    const onProgress = (event: ProgressEvent) => {
      seen.push(event.type)
      if (event.type === type) controller.abort(new Error('enough'))
    }
    await expect(runTiny(GPTQ, { output: join(folder, 'out'), signal: controller.signal, onProgress })).rejects.toThrow('enough')
    expect(seen.filter((name) => name === type)).toHaveLength(type === 'linear' ? 3 : 1)
    expect(await readdir(folder)).toEqual([])
    expect(tf.memory().numTensors).toBe(before)
  })

  test('reads a sharded model to the same bytes', async () => {
    const folder = await tinyWith({})
    const reader = await openCheckpoint(TINY)
    const names = [...reader.tensors.keys()]
    const shards: Record<string, string[]> = {
      'model-00001-of-00002.safetensors': names.slice(0, 9),
      'model-00002-of-00002.safetensors': names.slice(9),
    }
    const weight_map: Record<string, string> = {}
    for (const [file, own] of Object.entries(shards)) {
      const tensors = await Promise.all(
        own.map(async (name) => {
          weight_map[name] = file
          const { dtype, shape } = reader.info(name)
          return { name, dtype, shape, bytes: await reader.read(name) }
        }),
      )
      await writeFile(join(folder, file), safetensorsFile(tensors))
    }
    await reader.close()
    await rm(join(folder, 'model.safetensors'))
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }))
    const [whole, sharded] = [await runTiny(GPTQ), await runTiny(GPTQ, { model: folder })]
    expect(sameBytes(await weightsOf(whole.output), await weightsOf(sharded.output))).toBe(true)
  })

  test.each(['GPTQModifier', 'QuantizationModifier'] as const)('unties a tied head that is compressed: %s', async (name) => {
    const { output } = await runTiny({ modifiers: { [name]: { scheme: 'W8A16' } } })
    const config = await configOf(output)
    expect(config.tie_word_embeddings).toBe(false)
    expect(config.quantization_config.ignore).toEqual([])
    const source = await openForTest(output)
    expect(source.reader.has('lm_head.weight')).toBe(false)
    expect(source.reader.info('lm_head.weight_packed')).toMatchObject({ dtype: 'I32', shape: [320, 32] })
    const original = await openForTest(TINY)
    const embedding = 'model.embed_tokens.weight'
    expect(sameBytes(await source.reader.read(embedding), await original.reader.read(embedding))).toBe(true)
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('group_size auto takes the largest that divides every width', async () => {
    const model = oracleFolder('architectures/llama')
    const dataset = oracleRows('architectures/llama/reference.safetensors', 'input_ids')
    const record = await runTiny(recipeOf('GPTQModifier', { scheme: 'W4A16', group_size: 'auto' }), {
      model,
      dataset,
      numCalibrationSamples: 2,
    })
    expect(new Set(record.linears.map(({ scheme }) => scheme))).toEqual(new Set(['W4A16 g64']))
    expect((await configOf(record.output)).quantization_config.config_groups.group_0.weights.group_size).toBe(64)
  })

  test('compresses layers with different schemes in one run', async () => {
    const weights = (num_bits: number, group_size: number) => ({ num_bits, type: 'int', symmetric: true, strategy: 'group', group_size })
    const config_groups = {
      attention: { targets: ['re:.*self_attn.*'], weights: weights(8, 128) },
      mlp: { targets: ['re:.*mlp.*'], weights: weights(4, 64) },
    }
    const { output, linears } = await runTiny(recipeOf('GPTQModifier', { config_groups }))
    for (const { name, scheme } of linears) expect(scheme, name).toBe(name.includes('mlp') ? 'W4A16 g64' : 'W8A16 g128')
    for (const { spec, quantized } of await storedLinears(await openForTest(output))) {
      expect(quantized.args.num_bits, spec.name).toBe(spec.name.includes('mlp') ? 4 : 8)
    }
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('refuses to split what servers fuse, before it reads a weight', async () => {
    const split = recipeOf('QuantizationModifier', { scheme: { W4A16: ['re:.*q_proj'], W8A16: ['re:.*[kv]_proj'] } })
    const folder = await temporaryFolder()
    const failure = runTiny(split, { output: join(folder, 'out') })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(/Cannot split the attention inputs of a layer: .*q_proj is W4A16 .*k_proj is W8A16/)
    expect(await readdir(folder)).toEqual([])
  })

  test('runs a modifier of the caller', async () => {
    const seen: string[] = []
    const halves = defineModifier({
      names: ['HalvingModifier'],
      description: 'Halves every scale.',
      schema: { type: 'object', additionalProperties: false, properties: { ...OPTIONS, by: { type: 'number' } } },
      quantizes: true,
      needs: () => 'inputs',
      create: ({ by = 1 }) => ({
        async apply(stage, targets) {
          await stage.eachInput((x) => void seen.push(`${stage.name} [${x.shape}]`))
          for (const [linear, scheme] of targets) {
            const { name, weight, rows, columns, dtype } = linear
            if (!scheme.weights) continue
            const grid = minMaxGrid(weight, rows, columns, scheme.weights, dtype)
            linear.quantized = quantizeToGrid(weight, rows, columns, scheme.weights, { ...grid, scale: grid.scale.map((s) => s * by) })
            linear.report = { name, method: 'halved', scheme: schemeLabel(scheme), error: 0.5, errorOf: 'weights', seconds: 0 }
          }
        },
      }),
    })
    const recipe = { modifiers: { HalvingModifier: { scheme: 'W8A16', ignore: ['lm_head'], by: 0.5 } } }
    const record = await runTiny(recipe, { modifiers: [halves] })
    expect(record.linears.every(({ method }) => method === 'halved')).toBe(true)
    // Two batches a stage: one row in sixteen is held back.
    expect(seen).toHaveLength(16)
    expect(seen.slice(0, 2)).toEqual(['model.layers.0 · attention inputs [960,128]', 'model.layers.0 · attention inputs [64,128]'])
    const plain = await runTiny(recipeOf('QuantizationModifier', { scheme: 'W8A16' }))
    const [a, b] = [await storedLinears(await openForTest(record.output)), await storedLinears(await openForTest(plain.output))]
    expect(a[0].quantized.scale).toEqual(b[0].quantized.scale.map((s) => s * 0.5))
    await expect(runTiny({ modifiers: { HalvingModifier: { scheme: 'W8A16', bye: 1 } } }, { modifiers: [halves] })).rejects.toThrow(
      /bye.*"by"/s,
    )
  })

  test('refuses a modifier that leaves its linears as they were', async () => {
    const idle = defineModifier({
      names: ['IdleModifier'],
      description: 'Does nothing.',
      schema: { type: 'object', additionalProperties: false, properties: OPTIONS },
      quantizes: true,
      needs: () => 'weights',
      create: () => ({ apply: async () => {} }),
    })
    const folder = await temporaryFolder()
    const failure = runTiny({ modifiers: { IdleModifier: { scheme: 'W8A16' } } }, { modifiers: [idle], output: join(folder, 'out') })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow('its modifier left it unchanged')
    expect(await readdir(folder)).toEqual([])
  })

  test('does not replace a folder without overwrite, and replaces it whole with it', async () => {
    const { output } = await runTiny(RTN)
    await expect(runTiny(GPTQ, { output })).rejects.toThrow(UserError)
    const before = await weightsOf(output)
    await runTiny(GPTQ, { output, overwrite: true })
    expect(sameBytes(before, await weightsOf(output))).toBe(false)
    expect(await readdir(dirname(output))).toEqual(['out'])
  })
})

describe('perplexity', () => {
  test('is that of the reference on the original and leaves no tensor on the engine', async () => {
    const summary = JSON.parse(await readFile(join(oracleFolder('checkpoints'), 'summary.json'), 'utf8'))
    const dataset = oracleRows('checkpoints/input_ids.safetensors', 'eval')
    const before = tf.memory().numTensors
    for (const [name, folder] of [
      ['original', TINY],
      ['gptq-w4a16', oracleFolder('checkpoints/gptq-w4a16')],
      ['fp8-dynamic', oracleFolder('checkpoints/fp8-dynamic')],
    ]) {
      const score = await perplexity(folder, { dataset, window: 64, engine: 'wasm' })
      expect(score).toMatchObject({ tokens: 8 * 63, windows: 8, window: 64 })
      expect(score.perplexity / summary[name].perplexity, name).toBeCloseTo(1, 3)
    }
    expect(tf.memory().numTensors).toBe(before)
    expect(CALIBRATION).toHaveLength(16)
  })
})
