import { describe, expect, test } from 'vitest'
import { starvedExperts } from '../../src/oneshot/expert-tokens.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder, oracleRows } from '../models/oracles.ts'
import { recipeOf } from './runs.ts'

const folder = oracleFolder('architectures/qwen3_moe')
const rows = oracleRows('architectures/qwen3_moe/reference.safetensors', 'input_ids')
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16', group_size: 32 })

describe('tokens of experts', () => {
  test('stand in the record of a run with data, two experts a token; layers without experts have none', async () => {
    const output = `${await temporaryFolder()}/out`
    const { experts } = await oneshot({ model: folder, recipe: GPTQ, output, dataset: rows, engine: 'wasm', threads: 1 })
    expect(experts?.map(({ module }) => module)).toEqual(['model.layers.1.mlp.experts'])
    expect(experts?.[0].tokens).toHaveLength(4)
    expect(experts?.[0].tokens.reduce((sum, count) => sum + count, 0)).toBe(2 * 48)
  })

  test('an expert that no token was routed to is compressed from the tokens of others, and named', async () => {
    const output = `${await temporaryFolder()}/out`
    const dataset = [Int32Array.of(7, 7)]
    const { experts = [], linears, warnings } = await oneshot({ model: folder, recipe: GPTQ, output, dataset, engine: 'wasm', threads: 1 })
    const starved = experts[0].tokens.flatMap((count, expert) => (count === 0 ? [expert] : []))
    expect(starved.length).toBeGreaterThan(0)
    for (const expert of starved) {
      expect(warnings.join()).toContain(`model.layers.1.mlp.experts.${expert} (0 tokens)`)
      const report = linears.find(({ name }) => name === `model.layers.1.mlp.experts.${expert}.up_proj`)
      expect(report).toMatchObject({ method: 'GPTQ', errorOf: 'outputs' })
    }
  })

  test('a run without data counts none', async () => {
    const record = await oneshot({
      model: folder,
      recipe: recipeOf('QuantizationModifier', { scheme: 'W4A16', group_size: 32 }),
      output: `${await temporaryFolder()}/out`,
    })
    expect(record).not.toHaveProperty('experts')
  })
})

describe('starvedExperts', () => {
  test('names those below a twentieth of an even share, eight at most', () => {
    expect(starvedExperts([{ module: 'a', tokens: [500, 500, 10, 30] }])[0]).toMatch(/^1 experts got .*: a\.2 \(10 tokens\)$/)
    expect(starvedExperts([{ module: 'a', tokens: [100, 100] }])).toEqual([])
    const many = starvedExperts([{ module: 'b', tokens: [1000, ...new Array<number>(10).fill(0)] }])[0]
    expect(many).toContain('b.8 (0 tokens) and 2 more')
  })
})
