import { existsSync, symlinkSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { forecastMemory } from '../../src/oneshot/memory.ts'
import type { OneshotOptions } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import type { RunRecord } from '../../src/report/record.ts'
import { RunError, RunStopped, UserError } from '../../src/util/errors.ts'
import { seededUint32 } from '../../src/util/rng.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, sameBytes, TINY } from './runs.ts'

useEngine('wasm')
vi.setConfig({ testTimeout: 180_000 })
afterEach(() => vi.unstubAllEnvs())

const LENGTH = 32
/** Enough for two batches beside the rows that are held back. */
const ROWS = 76

function randomRows(): number[][] {
  const next = seededUint32(5)
  return Array.from({ length: ROWS }, () => Array.from({ length: LENGTH }, () => next() % 320))
}

const data: Partial<OneshotOptions> = { dataset: randomRows(), numCalibrationSamples: ROWS, maxSeqLength: LENGTH }

/** A little less than what takes all rows in memory. */
async function tooLittle(recipe: string | object): Promise<number> {
  const plan = await planRun({ model: TINY, recipe, output: 'unused' })
  const shape = { rows: ROWS, tokens: ROWS * LENGTH, length: LENGTH }
  const { total } = forecastMemory(plan, shape, 'wasm', false)
  expect(forecastMemory(plan, shape, 'wasm', true).total).toBeLessThan(total)
  await plan.close()
  return total - 1
}

async function expectSameWeights(one: RunRecord, two: RunRecord): Promise<void> {
  const [a, b] = await Promise.all([one, two].map(({ output }) => readFile(join(output, 'model.safetensors'))))
  expect(sameBytes(a, b)).toBe(true)
}

const RECIPES: [string, string | object][] = [
  ['GPTQ, fast', recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'fast' })],
  ['GPTQ, balanced', recipeOf('GPTQModifier', { scheme: 'W4A16' })],
  ['GPTQ, best, which needs the originals', recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'best' })],
  ['GPTQ of the head, too', { modifiers: { GPTQModifier: { scheme: 'W8A16', quality: 'fast' } } }],
  ['SmoothQuant and GPTQ', 'smoothquant-gptq-w8a8'],
  ['AWQ', 'awq-w4a16-asym'],
]

describe('oneshot with less memory than its rows take', () => {
  test.each(RECIPES)('%s: the same bytes, with rows in a scratch file that is gone afterwards', async (_, recipe) => {
    const before = tf.memory().numTensors
    const whole = await runTiny(recipe, data)
    const paths: string[] = []
    const parked = await runTiny(recipe, {
      ...data,
      maxMemory: await tooLittle(recipe),
      onProgress: (event) => {
        if (event.type !== 'scratch') return
        paths.push(event.path)
        expect(existsSync(event.path)).toBe(true)
      },
    })
    expect(tf.memory().numTensors).toBe(before)
    expect(whole.scratch).toBeUndefined()
    // At the widest stage all tokens hold 256 + 128 floats, and places are used again.
    const streams = JSON.stringify(recipe).includes('best') ? 2 : 1
    expect(parked.scratch).toBeGreaterThanOrEqual(ROWS * LENGTH * 4 * 256)
    expect(parked.scratch).toBeLessThanOrEqual(1.5 * streams * ROWS * LENGTH * 4 * (256 + 2 * 128))
    await expectSameWeights(whole, parked)
    expect(paths).toHaveLength(1)
    expect(existsSync(paths[0])).toBe(false)
  })

  test('the same bytes when it is stopped and goes on, with less memory or more', async () => {
    const [[, recipe]] = RECIPES
    const maxMemory = await tooLittle(recipe)
    const whole = await runTiny(recipe, data)
    for (const [first, second] of [
      [{ maxMemory }, { maxMemory }],
      [{ maxMemory }, {}],
      [{}, { maxMemory }],
    ]) {
      const output = join(await temporaryFolder(), 'out')
      const controller = new AbortController()
      const stopped = runTiny(recipe, {
        ...data,
        ...first,
        output,
        stop: controller.signal,
        onProgress: ({ type }) => {
          if (type === 'layer:start') controller.abort()
        },
      })
      await expect(stopped).rejects.toThrow(RunStopped)
      expect(await readdir(join(output, '.llmpress'))).not.toContain('scratch.f32')
      await expectSameWeights(whole, await runTiny(recipe, { ...data, ...second, output }))
    }
  })

  test('leaves neither tensors nor a scratch file when it fails', async () => {
    vi.stubEnv('LLMPRESS_JOURNAL_SECONDS', '0.000001')
    const recipe = recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'best' })
    const output = join(await temporaryFolder(), 'out')
    const before = tf.memory().numTensors
    const failing = runTiny(recipe, {
      ...data,
      output,
      maxMemory: await tooLittle(recipe),
      onProgress: (event) => {
        if (event.type === 'stage' && event.index === 1 && event.stage === 'mlp output') throw new Error('enough')
      },
    })
    await expect(failing).rejects.toThrow('enough')
    expect(tf.memory().numTensors).toBe(before)
    expect((await readdir(join(output, '.llmpress'))).sort()).toEqual([
      'generation_config.json',
      'hidden-1.f32',
      'journal.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
  })

  test('says that the disk is full', async () => {
    const recipe = RECIPES[0][1]
    const output = join(await temporaryFolder(), 'out')
    const failing = runTiny(recipe, {
      ...data,
      output,
      maxMemory: await tooLittle(recipe),
      // What is written to the scratch file goes to the device that is always full.
      onProgress: ({ type }) => {
        if (type === 'engine') symlinkSync('/dev/full', join(output, '.llmpress', 'scratch.f32'))
      },
    })
    await expect(failing).rejects.toThrow(RunError)
    await expect(failing).rejects.toThrow(/Cannot write .*scratch\.f32: the disk is full/)
  })

  test.each([RECIPES[0], ['rounding', recipeOf('QuantizationModifier', { scheme: 'W4A16' })]] as typeof RECIPES)(
    '%s: what is too little for any rows is refused before one is read',
    async (_, recipe) => {
      const events: string[] = []
      const refused = runTiny(recipe, {
        ...data,
        dataset: '/no/such/file.txt',
        maxMemory: '10MB',
        onProgress: ({ type }) => events.push(type),
      })
      await expect(refused).rejects.toThrow(
        /^Cannot compress model\.layers\.\d · .* 10\.0 MB are allowed, expected --max-memory 0\.\dGB or more/,
      )
      expect(events).toEqual([])
    },
  )

  test.each([['4 apples'], ['0GB'], ['-1GB'], [0], [1.5], ['']])('refuses %j as a size', async (maxMemory) => {
    const refused = runTiny(RECIPES[0][1], { ...data, maxMemory })
    await expect(refused).rejects.toThrow(UserError)
    await expect(refused).rejects.toThrow("for the option maxMemory, expected a size such as '4GB', or a number of bytes")
  })
})
