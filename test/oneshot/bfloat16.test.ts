import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test, vi } from 'vitest'
import { isBfloat16, toBfloat16 } from '../../src/engine/bfloat16.ts'
import { openEngine } from '../../src/engine/open.ts'
import { forecastMemory } from '../../src/oneshot/memory.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { ScratchFile } from '../../src/oneshot/scratch-file.ts'
import { ScratchStore } from '../../src/oneshot/tensor-store.ts'
import type { RunRecord } from '../../src/report/record.ts'
import { seededUint32 } from '../../src/util/rng.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { hasBfloat16, random } from '../engine/engines.ts'
import { recipeOf, runTiny, TINY } from './runs.ts'

vi.setConfig({ testTimeout: 180_000 })

/** TensorFlow's own count, which has what tfjs knows nothing of. */
const counted = () => [tf.memory().numTensors, (tf.backend() as unknown as { getNumOfTFTensors(): number }).getNumOfTFTensors()]
const weights = ({ output }: RunRecord) => readFile(join(output, 'model.safetensors'))

/** Of 32 tokens: enough for two batches beside the rows that are held back. */
const ROWS = 76
const next = seededUint32(5)
const rows = Array.from({ length: ROWS }, () => Array.from({ length: 32 }, () => next() % 320))

/** A little less than what takes all rows in memory. */
async function tooLittle(recipe: string | object): Promise<number> {
  const plan = await planRun({ model: TINY, recipe, output: 'unused' })
  const { total } = forecastMemory(plan, { rows: ROWS, tokens: ROWS * 32, length: 32 }, 'native', false)
  await plan.close()
  return total - 1
}

describe.runIf(hasBfloat16)('runs with bfloat16 products', () => {
  const options = { engine: 'native', precision: 'bfloat16', dataset: rows, numCalibrationSamples: ROWS, maxSeqLength: 32 } as const

  test('a tensor in bfloat16 comes back from the scratch file with the same values, and all that share it', async () => {
    await openEngine({ engine: 'native', precision: 'bfloat16', threads: 2 })
    const before = counted()
    const file = await ScratchFile.create(join(await temporaryFolder(), 'scratch.f32'))
    const store = new ScratchStore(file)
    const rounded = tf.tidy(() => toBfloat16(tf.tensor2d(random(60, 1), [6, 10])))
    const clone = tf.clone(rounded)
    const values = (await store.values(rounded)).slice()
    await store.park([rounded, clone])
    expect((await store.values(clone)).slice()).toEqual(values)
    await store.load([clone])
    expect([rounded, clone].map(isBfloat16)).toEqual([false, false])
    expect(await rounded.data()).toEqual(values)
    tf.dispose([rounded, clone])
    await file.close()
    expect(counted()).toEqual(before)
  })

  test.each([
    ['GPTQ, fast', recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'fast' })],
    ['GPTQ, best, which needs the originals', recipeOf('GPTQModifier', { scheme: 'W4A16', quality: 'best' })],
    ['SmoothQuant and GPTQ', 'smoothquant-gptq-w8a8'],
    ['AWQ', 'awq-w4a16-asym'],
  ])('%s: the same bytes with rows in memory and in a scratch file, and no tensor left', async (_, recipe) => {
    const whole = await runTiny(recipe, options)
    const before = counted()
    const parked: string[] = []
    const other = await runTiny(recipe, {
      ...options,
      maxMemory: await tooLittle(recipe),
      onProgress: (event) => event.type === 'scratch' && parked.push(event.path),
    })
    expect(counted()).toEqual(before)
    expect(parked).toHaveLength(1)
    expect((await weights(other)).equals(await weights(whole))).toBe(true)
    expect(whole.engine.detail).toContain('bfloat16')
  })
})
