import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { perplexity } from '../../src/eval/perplexity.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { oracleRows } from '../models/oracles.ts'
import { TINY } from '../oneshot/runs.ts'

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
