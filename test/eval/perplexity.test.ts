import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { perplexity, scoreRows } from '../../src/eval/perplexity.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleRows } from '../models/oracles.ts'
import { openForTest, TINY } from '../oneshot/runs.ts'

const ROWS = oracleRows('checkpoints/input_ids.safetensors', 'eval')

describe('perplexity', () => {
  // First in the file: the engine is not open yet.
  test('runs beside another one of the same process', async () => {
    const score = () => perplexity(TINY, { dataset: ROWS, window: 64, windows: 2, engine: 'wasm' })
    const [a, b] = await Promise.all([score(), score()])
    expect(b.perplexity).toBe(a.perplexity)
  })

  test('says that a text is too short for one window, and how long the window was', async () => {
    const folder = await folderOf({ 'short.txt': 'Thirty-two bytes, not one more.\n' })
    const dataset = join(folder, 'short.txt')
    const { window, windows, tokens, warnings } = await perplexity(TINY, { dataset, window: 256, engine: 'wasm' })
    expect({ windows, tokens }).toEqual({ windows: 1, tokens: window - 1 })
    expect(window).toBeLessThan(64)
    expect(warnings).toEqual([`${dataset} has ${window} tokens, fewer than one row of 256: one shorter row is used`])
  })

  test('warns of fewer windows than asked for, but not where all were', async () => {
    const options = { dataset: ROWS, window: 64, engine: 'wasm' } as const
    expect((await perplexity(TINY, options)).warnings).toEqual([])
    const [warning] = (await perplexity(TINY, { ...options, windows: 9 })).warnings
    expect(warning).toContain('found 8 of the 9 rows')
  })
})

describe('scoreRows', () => {
  useEngine('wasm')

  // 64 rows of 64 and 20 of 48: three batches.
  const rows = Array.from({ length: 84 }, (_, i) => ROWS[i % 8].map((id, at) => (id + i * at) % 320).subarray(0, i < 64 ? 64 : 48))

  test('gives the same sum for blocks of any size, with fewer tensors for smaller ones', async () => {
    const source = await openForTest(TINY)
    const score = async (blockTokens: number) => {
      const steps: string[] = []
      let tensors = 0
      const onLayer = (layer: number, of: number) => {
        steps.push(`${layer}/${of}`)
        tensors = Math.max(tensors, tf.memory().numTensors)
      }
      return { ...(await scoreRows(source, rows, { onLayer }, blockTokens)), steps, tensors }
    }
    const before = tf.memory().numTensors
    const whole = await score(1 << 16)
    const blocks = await score(2048)
    expect(whole.tokens).toBe(64 * 63 + 20 * 47)
    expect(whole.steps).toEqual(['0/2', '1/2', '2/2'])
    expect({ sum: blocks.sum, tokens: blocks.tokens }).toEqual({ sum: whole.sum, tokens: whole.tokens })
    expect(blocks.steps).toEqual(['0/6', '1/6', '2/6', '2/6', '3/6', '4/6', '4/6', '5/6', '6/6'])
    expect(blocks.tensors).toBeLessThan(whole.tensors)
    expect(tf.memory().numTensors).toBe(before)
  })
})
