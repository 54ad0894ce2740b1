import { describe, expect, test } from 'vitest'
import { bench } from '../../../src/eval/bench/bench.ts'
import { batchOf, latencyOf, sequentialOf } from '../../../src/eval/bench/bench-result.ts'
import { UserError } from '../../../src/util/errors.ts'
import { oracleFolder } from '../../models/oracles.ts'
import { isBenchResult } from './bench-schema.ts'

describe('bench', () => {
  test('throughput is tokens over time, by a clock that ticks', async () => {
    let ticks = 0
    const options = { engine: 'wasm', threads: 1, maxNewTokens: 4, now: () => 1000 * ticks++ } as const
    const found = await bench(oracleFolder('tiny'), options)
    expect(await isBenchResult(found)).toBe(true)
    // The clock is asked when a request begins, at its first token and at its end: two seconds each, the first token after one.
    expect(found.load_seconds).toBe(1)
    expect(found.sequential).toMatchObject({
      tokens: 20,
      seconds: 10,
      tokens_per_second: 2,
      latency: { mean: 2, median: 2, min: 2, max: 2 },
      first_token: { mean: 1 },
    })
    expect(found.batch).toMatchObject({ size: 5, tokens: 20, seconds: 2, tokens_per_second: 10 })
    expect(found.memory.sequential).toBeGreaterThanOrEqual(found.memory.after_load ?? Infinity)
    expect(found.memory.weights).toBeGreaterThan(0)
  })

  test('tells of its passes, in order', async () => {
    const passes: string[] = []
    await bench(oracleFolder('tiny'), {
      engine: 'wasm',
      threads: 1,
      maxNewTokens: 1,
      prompts: ['one two three', 'four five'],
      onPass: (pass) => passes.push(pass),
    })
    expect(passes).toEqual(['load', 'warm-up', 'sequential', 'batch'])
  })

  test('prompts and tokens beyond the positions of the model are an error, and so are empty prompts', async () => {
    await expect(bench(oracleFolder('tiny'), { maxNewTokens: 100_000 })).rejects.toThrow(/expected at most its \d+ positions/)
    await expect(bench(oracleFolder('tiny'), { prompts: [' '] })).rejects.toThrow(UserError)
  })
})

test('latencyOf is mean, median and range; sums are of all requests', () => {
  expect(latencyOf([4, 1, 3, 2])).toEqual({ mean: 2.5, median: 2.5, min: 1, max: 4 })
  const requests = [
    { first: 1, seconds: 4, tokens: 8 },
    { first: 3, seconds: 6, tokens: 12 },
  ]
  expect(sequentialOf(requests)).toMatchObject({ tokens: 20, seconds: 10, tokens_per_second: 2, first_token: { median: 2 } })
  expect(batchOf(requests, 5)).toMatchObject({ size: 2, tokens: 20, tokens_per_second: 4 })
  expect(() => latencyOf([])).toThrow(RangeError)
})
