import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { hasNative } from '../engine/engines.ts'
import { recipeOf, runTiny, sameBytes } from './runs.ts'

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })
const weightsOf = (folder: string) => readFile(join(folder, 'model.safetensors'))

describe('oneshot', () => {
  // First in the file: nothing has opened an engine in this process.
  test('opens no engine where nothing is multiplied', async () => {
    const events: ProgressEvent[] = []
    const record = await runTiny(RTN, { engine: 'auto', onProgress: (event) => events.push(event) })
    expect(record.engine).toEqual({ name: 'none', detail: 'nothing to multiply', threads: 2 })
    expect(events.find(({ type }) => type === 'engine')).toEqual({ type: 'engine', name: 'none', detail: 'nothing to multiply' })
    for (const backend of ['wasm', 'tensorflow']) expect(tf.engine().findBackendFactory(backend)).toBeNull()
  })

  test('runs beside others of the same process, to the same bytes', async () => {
    const [first, second, plain] = await Promise.all([runTiny(GPTQ), runTiny(GPTQ), runTiny(RTN)])
    expect(sameBytes(await weightsOf(first.output), await weightsOf(second.output))).toBe(true)
    expect([first, second, plain].map(({ engine }) => engine.name)).toEqual(['wasm', 'wasm', 'none'])
  })

  test.runIf(hasNative)('keeps the engine of a run while others come and go', async () => {
    const alone = await runTiny(GPTQ, { engine: 'native' })
    const [native] = await Promise.all([runTiny(GPTQ, { engine: 'native' }), runTiny(RTN), runTiny(GPTQ)])
    expect(native.engine.name).toBe('native')
    expect(sameBytes(await weightsOf(alone.output), await weightsOf(native.output))).toBe(true)
  })
})
