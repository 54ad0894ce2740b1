import { existsSync } from 'node:fs'
import { appendFile, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import type { OneshotOptions } from '../../src/oneshot/oneshot.ts'
import { readRun } from '../../src/report/read-run.ts'
import { RunError, RunStopped, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, sameBytes, tinyWith } from './runs.ts'

useEngine('wasm')
afterEach(() => vi.unstubAllEnvs())

const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })

/** Runs until the first of the two layers is finished. */
async function stopped(recipe: string | object, output: string, options: Partial<OneshotOptions> = {}): Promise<void> {
  const controller = new AbortController()
  const onProgress = ({ type }: ProgressEvent) => {
    if (type === 'layer:start') controller.abort()
  }
  await expect(runTiny(recipe, { output, stop: controller.signal, onProgress, ...options })).rejects.toThrow(RunStopped)
}

/** The files of a checkpoint but for the report, which has seconds in it. */
async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).filter((name) => !['llmpress-report.json', 'report.html'].includes(name)).sort()
  return new Map(await Promise.all(names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(join(folder, name))])))
}

async function expectSameFiles(one: string, two: string): Promise<void> {
  const [a, b] = await Promise.all([filesOf(one), filesOf(two)])
  expect([...a.keys()]).toEqual([...b.keys()])
  for (const [name, bytes] of a) {
    if (name !== 'README.md') expect(sameBytes(bytes, b.get(name) ?? Buffer.alloc(0)), name).toBe(true)
  }
}

describe('oneshot, stopped and called again', () => {
  test.each([
    ['GPTQ', GPTQ],
    ['GPTQ, best, which needs the originals', recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'best' })],
    ['GPTQ of the head, too', { modifiers: { GPTQModifier: { scheme: 'W8A16' } } }],
    ['AWQ', 'awq-w4a16-asym'],
    ['SmoothQuant', 'smoothquant-gptq-w8a8'],
    ['rotations', { modifiers: [{ SpinQuantModifier: {} }, { QuantizationModifier: { scheme: 'W4A16', ignore: ['lm_head'] } }] }],
    ['rounding, without data', recipeOf('QuantizationModifier', { scheme: 'FP8_DYNAMIC' })],
    [
      'a quantized cache',
      recipeOf('QuantizationModifier', {
        scheme: 'FP8',
        kv_cache_scheme: { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true },
      }),
    ],
  ])('%s: goes on to the bytes and the report of a run that was not', async (_, recipe) => {
    const output = join(await temporaryFolder(), 'out')
    await stopped(recipe, output)
    expect(await readdir(output)).toEqual(['.llmpress'])
    const before = tf.memory().numTensors
    const layers: number[] = []
    const record = await runTiny(recipe, {
      output,
      onProgress: (event) => {
        if (event.type === 'layer:start') layers.push(event.index)
        if (event.type === 'resume') expect(event).toMatchObject({ layers: 1, of: 2 })
      },
    })
    expect(layers).toEqual([1])
    expect(tf.memory().numTensors).toBe(before)
    const whole = await runTiny(recipe)
    await expectSameFiles(output, whole.output)
    const timeless = (text: string) => JSON.parse(text, (key, value) => (key === 'seconds' ? undefined : value))
    expect(timeless(JSON.stringify(record.linears))).toEqual(timeless(JSON.stringify(whole.linears)))
    expect([...record.rewritten].sort()).toEqual([...whole.rewritten].sort())
    expect(record.warnings).toEqual(whole.warnings)
    expect((await readRun(output)).statistics).toEqual((await readRun(whole.output)).statistics)
    expect(record.files).toEqual(expect.arrayContaining(whole.files.filter(({ name }) => name !== 'README.md')))
  })

  test('a run that fails later keeps what the journal has', async () => {
    vi.stubEnv('LLMPRESS_JOURNAL_SECONDS', '0.000001')
    const output = join(await temporaryFolder(), 'out')
    const failing = runTiny(GPTQ, {
      output,
      onProgress: (event) => {
        if (event.type === 'stage' && event.index === 1 && event.stage === 'mlp inputs') throw new Error('the disk failed')
      },
    })
    await expect(failing).rejects.toThrow('the disk failed')
    const layers: number[] = []
    await runTiny(GPTQ, { output, onProgress: (event) => event.type === 'layer:start' && layers.push(event.index) })
    expect(layers).toEqual([1])
    await expectSameFiles(output, (await runTiny(GPTQ)).output)
  })

  test('keeps nothing of a run that failed before the first entry of the journal', async () => {
    const output = join(await temporaryFolder(), 'out')
    const failing = runTiny(GPTQ, {
      output,
      onProgress: ({ type }) => {
        if (type === 'layer:start') throw new Error('the disk failed')
      },
    })
    await expect(failing).rejects.toThrow('the disk failed')
    expect(existsSync(output)).toBe(false)
  })

  test.each([
    ['the recipe', { recipe: recipeOf('GPTQModifier', { scheme: 'W8A16' }) }],
    ['the calibration rows', { numCalibrationSamples: 15 }],
    ['the calibration rows', { seed: 4 }],
  ] as const)('refuses to go on where %s differs, and leaves what there is', async (what, options) => {
    const output = join(await temporaryFolder(), 'out')
    await stopped(GPTQ, output)
    const { recipe = GPTQ, ...others } = { recipe: undefined, ...options }
    const failure = runTiny(recipe, { output, ...others })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(`${what} differed then, expected the same. Pass --restart to begin again`)
    await runTiny(GPTQ, { output })
    await expectSameFiles(output, (await runTiny(GPTQ)).output)
  })

  test('refuses to go on with a model that was changed, and begins again where it is told to', async () => {
    const output = join(await temporaryFolder(), 'out')
    const model = await tinyWith({})
    await stopped(GPTQ, output, { model })
    await utimes(join(model, 'model.safetensors'), new Date(), new Date(0))
    await expect(runTiny(GPTQ, { model, output })).rejects.toThrow('the model differed then')
    const layers: number[] = []
    await runTiny(GPTQ, { model, output, restart: true, onProgress: (event) => event.type === 'layer:start' && layers.push(event.index) })
    expect(layers).toEqual([0, 1])
    await expectSameFiles(output, (await runTiny(GPTQ, { model })).output)
  })

  test.each([
    ['hidden-1.f32', 'hidden-1.f32: its bytes are not those that were written'],
    ['model.safetensors', 'model.safetensors: its header is not the one planned'],
  ])('refuses a damaged %s', async (name, message) => {
    const output = join(await temporaryFolder(), 'out')
    await stopped(GPTQ, output)
    const path = join(output, '.llmpress', name)
    const bytes = await readFile(path)
    bytes[20] ^= 1
    await writeFile(path, bytes)
    const failure = runTiny(GPTQ, { output })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(message)
    await runTiny(GPTQ, { output, restart: true })
  })

  test('begins again where the journal cannot be read', async () => {
    const output = join(await temporaryFolder(), 'out')
    await stopped(GPTQ, output)
    await appendFile(join(output, '.llmpress', 'journal.json'), '}')
    await runTiny(GPTQ, { output })
    await expectSameFiles(output, (await runTiny(GPTQ)).output)
  })

  test('keeps the old checkpoint under --overwrite until the new one is whole', async () => {
    const { output } = await runTiny(recipeOf('QuantizationModifier', { scheme: 'W8A16' }))
    const old = await readFile(join(output, 'model.safetensors'))
    await stopped(GPTQ, output, { overwrite: true })
    expect(sameBytes(await readFile(join(output, 'model.safetensors')), old)).toBe(true)
    await runTiny(GPTQ, { output, overwrite: true })
    await expectSameFiles(output, (await runTiny(GPTQ)).output)
  })
})
