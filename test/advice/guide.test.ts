import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Estimate, estimate } from '../../src/advice/estimate.ts'
import { explain, type GuideBlock, readGuide } from '../../src/advice/guide.ts'
import { PURPOSES } from '../../src/advice/purposes.ts'
import { recommend } from '../../src/advice/recommend.ts'
import { UserError } from '../../src/util/errors.ts'
import { formatBytes } from '../../src/util/format.js'
import { GUIDE_TOPICS } from '../../src/util/see-guide.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { LLAMA_8B } from './llama-8b.ts'

const ROOT = new URL('../../', import.meta.url)
const RECIPES = readdirSync(new URL('recipes', ROOT)).map((name) => name.replace(/\.yaml$/, ''))

const tablesOf = (blocks: readonly GuideBlock[]) => blocks.flatMap((block) => (block.kind === 'table' ? [block] : []))

describe('docs/guide.md', () => {
  test('has every topic once, in order, each with text and a command', async () => {
    const parts = await readGuide()
    expect(parts.map(({ topic }) => topic)).toEqual([...GUIDE_TOPICS])
    for (const { title, commands, blocks } of parts) {
      expect(title).not.toBe('')
      expect(commands.every((line) => line.startsWith('npx llmpress '))).toBe(true)
      expect(commands.length).toBeGreaterThan(0)
      expect(blocks.length).toBeGreaterThan(1)
      for (const { columns, rows } of tablesOf(blocks)) for (const row of rows) expect(row).toHaveLength(columns.length)
    }
  })

  test('its links lead to files and headings that are there', async () => {
    const text = await readFile(new URL('docs/guide.md', ROOT), 'utf8')
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link)
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) {
      const [path, heading] = link.split('#')
      const file = fileURLToPath(new URL(path, new URL('docs/', ROOT)))
      expect(existsSync(file), link).toBe(true)
      if (!heading) continue
      const anchors = [...(await readFile(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      )
      expect(anchors, link).toContain(heading)
    }
  })

  test('names recipes that are shipped', async () => {
    const named = (await readGuide()).flatMap(({ markdown }) =>
      [...markdown.matchAll(/`((?:rtn|gptq|awq|fp8|smoothquant|spinquant)-[a-z0-9-]+)`/g)].map(([, name]) => name),
    )
    expect(named.length).toBeGreaterThan(5)
    for (const name of named) expect(RECIPES).toContain(name)
  })
})

describe('the table of purposes', () => {
  test('has the six that recommend takes, each with a shipped recipe', async () => {
    const [{ rows }] = tablesOf((await explain('purpose')).blocks)
    expect(rows.map(([purpose]) => purpose)).toEqual([...PURPOSES])
    for (const [purpose, , recipe] of rows) {
      const names = [...recipe.matchAll(/`([a-z0-9-]+)`/g)].map(([, name]) => name)
      expect(names.length, purpose).toBeGreaterThan(0)
      for (const name of names) expect(RECIPES).toContain(name)
    }
  })

  test.each([
    ['prototype', 'W8A16, rounding', 'quality'],
    ['memory', 'W4A16, GPTQ best', 'memory'],
    ['production', 'W4A16, GPTQ', 'purpose'],
    ['fine-tuning', 'W4A16, GPTQ', 'purpose'],
    ['speed', 'W4A16, GPTQ best', 'speed'],
    ['quality', 'W8A16, rounding', 'quality'],
  ] as const)('recommend for %s takes %s and points into the guide', async (purpose, choice, topic) => {
    const found = await recommend(await folderOf({ 'config.json': LLAMA_8B }), { purpose })
    expect([found.choice?.name, found.topic, found.purpose]).toEqual([choice, topic, purpose])
    expect(found.verdict.includes('Fine-tune the original first')).toBe(purpose === 'fine-tuning')
  })

  test('prototypes take no data, also where 8 bits do not fit', async () => {
    const { choice, topic } = await recommend(await folderOf({ 'config.json': LLAMA_8B }), { purpose: 'prototype', gpu: 'RTX 4060' })
    expect(choice?.calibrated ?? false).toBe(false)
    expect(topic).toBe('memory')
  })

  test('a purpose that is none, and one beside a goal, are refused', async () => {
    const model = await folderOf({ 'config.json': LLAMA_8B })
    await expect(recommend(model, { purpose: 'fun' as 'speed' })).rejects.toThrow(/option purpose, expected one of prototype/)
    await expect(recommend(model, { purpose: 'speed', goal: 'speed' })).rejects.toThrow('found goal and purpose')
  })
})

/** config.json of Llama 2, as far as sizes go. */
const LLAMA_2 = {
  '7B': [4096, 11008, 32, 32, 32],
  '13B': [5120, 13824, 40, 40, 40],
  '70B': [8192, 28672, 80, 64, 8],
} as const

async function llama2(size: keyof typeof LLAMA_2): Promise<Estimate> {
  const [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads] = LLAMA_2[size]
  const sizes = { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads }
  const config = { ...LLAMA_8B, ...sizes, vocab_size: 32000, max_position_embeddings: 4096, torch_dtype: 'float16' }
  return estimate(await folderOf({ 'config.json': config }))
}

describe('the tables of precision', () => {
  const SIZES = ['7B', '13B', '70B'] as const

  test('the first is parameters times bytes', async () => {
    const [{ columns, rows }] = tablesOf((await explain('precision')).blocks)
    expect(columns.slice(2)).toEqual([...SIZES])
    expect(rows.map(([, bytes]) => Number(bytes))).toEqual([4, 2, 1, 0.5])
    for (const [, bytes, ...cells] of rows) expect(cells).toEqual(SIZES.map((size) => `${Number.parseInt(size, 10) * Number(bytes)} GB`))
  })

  test('the second is what estimate says of the shapes of Llama 2', async () => {
    const [, { columns, rows }] = tablesOf((await explain('precision')).blocks)
    expect(columns.slice(1)).toEqual([...SIZES])
    const found = await Promise.all(SIZES.map(llama2))
    const expected = ['float32', 'float16', 'int8', 'int4'].map((name) =>
      found.map(({ weights }) => formatBytes(weights.find((own) => own.name === name)?.bytes ?? 0)),
    )
    expected.push(found.map(({ cache }) => formatBytes(cache?.bytes ?? 0)))
    expect(rows.map(([, ...cells]) => cells)).toEqual(expected)
  })
})

describe('the table of number formats', () => {
  test('has the ranges of the types', async () => {
    const [{ rows }] = tablesOf((await explain('formats')).blocks)
    const range = (format: string) => rows.find(([name]) => name.startsWith(format))?.[2]
    expect(range('FP16')).toBe('±65504')
    expect(range('FP8')).toBe('±448')
    expect(range('FP4')).toBe('±6')
    expect(range('INT8')).toBe(`${-(2 ** 7)} to ${2 ** 7 - 1}, or 0 to ${2 ** 8 - 1}`)
    expect(range('INT4')).toBe(`${-(2 ** 3)} to ${2 ** 3 - 1}, or 0 to ${2 ** 4 - 1}`)
  })
})

describe('explain()', () => {
  test('gives a part with its commands, and refuses one that is not there with the nearest', async () => {
    const part = await explain('Memory')
    expect(part).toMatchObject({ topic: 'memory', title: 'Out of memory' })
    expect(part.markdown).toContain('--max-memory')
    expect(part.commands.some((line) => line.includes('--max-memory'))).toBe(true)
    await expect(explain('memroy')).rejects.toThrow(UserError)
    await expect(explain('memroy')).rejects.toThrow(/did you mean "memory"/)
  })
})
