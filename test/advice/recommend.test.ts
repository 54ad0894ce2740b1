import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { CANDIDATES } from '../../src/advice/candidates.ts'
import { recommend } from '../../src/advice/recommend.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { UserError } from '../../src/util/errors.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { LLAMA_8B } from './llama-8b.ts'

const llama = () => folderOf({ 'config.json': LLAMA_8B })

describe('candidates', () => {
  test('say of docs-llama-4m what the table of README says', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
    const rows = readme.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
    const original = Number(/original: (\d+\.\d+)/.exec(readme)?.[1])
    const figure = (label: string, column: number) => Number(rows.find((cells) => cells[1] === label)?.[column])
    const expected = {
      'W8A16, rounding': figure('rounding, `W8A16`', 4),
      'LLM.int8, bitsandbytes': figure('LLM.int8', 4),
      'W8A8, SmoothQuant and GPTQ': figure('SmoothQuant and GPTQ, `W8A8`', 4),
      'FP8_DYNAMIC, rounding': figure('`FP8_DYNAMIC`', 4),
      'W4A16, GPTQ best': figure('GPTQ, `W4A16`', 5),
      'W4A16, GPTQ': figure('GPTQ, `W4A16`', 4),
      'NF4, bitsandbytes': figure('NF4, double quantization', 4),
      'W4A16, rounding': figure('rounding, `W4A16`', 4),
      'W3, GPTQ best': figure('GPTQ, 3 bits, groups of 64', 5),
    }
    expect(Object.fromEntries(CANDIDATES.map(({ name, loss }) => [name, ((1 + loss['docs-llama-4m']) * original).toFixed(3)]))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, value]) => [name, value.toFixed(3)])),
    )
  })

  test('are recipes', async () => {
    for (const { recipe } of CANDIDATES) await loadRecipe(recipe)
  })
})

describe('recommend', () => {
  test('takes eight bits where they fit, four where only those do, and says so', async () => {
    const model = await llama()
    const roomy = await recommend(model, { gpu: 'RTX 4090' })
    expect(roomy.choice?.name).toBe('W8A16, rounding')
    expect(roomy.verdict).toContain('The original fits too')
    const tight = await recommend(model, { gpu: 'RTX 4060' })
    expect(tight.choice?.name).toMatch(/^W3|^W4A16/)
    expect(tight.verdict).toContain('The original does not fit')
  })

  test('leaves out what vLLM has no kernel for there', async () => {
    const { candidates, choice } = await recommend(await llama(), { gpu: 'V100' })
    expect(candidates.find(({ name }) => name.startsWith('W4A16'))?.problem).toMatch(/sm75\+, and this is sm70/)
    expect(choice?.problem ?? null).toBeNull()
    const cpu = await recommend(await llama(), { gpu: 'cpu' })
    expect(cpu.candidates.find(({ name }) => name.startsWith('W8A16'))?.problem).toMatch(/CPU/)
  })

  test('goals: the most exact, the smallest without three bits, the fewest bytes with a word on many users', async () => {
    const model = await llama()
    expect((await recommend(model, { goal: 'quality' })).choice?.name).toBe('W8A16, rounding')
    expect((await recommend(model, { goal: 'size' })).choice?.name).toBe('W4A16, GPTQ best')
    expect((await recommend(model, { goal: 'speed', gpu: 'H100' })).verdict).toContain('For many users at once: W8A8')
  })

  test('says where nothing will do, and that a long context is why', async () => {
    const { choice, verdict } = await recommend(await llama(), { gpu: '16GB', context: 131072 })
    expect(choice).toBeNull()
    expect(verdict).toMatch(/^Nothing will do on a GPU with 16\.0 GB: even W3, GPTQ best needs .*try a shorter --context/)
  })

  test('shows bitsandbytes with its loss, and does not take what vLLM has no method for', async () => {
    for (const options of [{}, { gpu: 'H100' }, { goal: 'size' as const }]) {
      const { candidates, choice } = await recommend(await llama(), options)
      const own = candidates.filter(({ name }) => name.endsWith('bitsandbytes'))
      expect(own.map(({ problem }) => problem)).toEqual(Array(2).fill("bitsandbytes is none of vLLM's quantization methods any more"))
      expect(own.every(({ bytes }) => bytes < 10e9)).toBe(true)
      expect(choice?.name).not.toContain('bitsandbytes')
    }
  })

  test('an unknown GPU and an unknown goal are errors', async () => {
    const model = await llama()
    await expect(recommend(model, { gpu: 'RTX 4091' })).rejects.toThrow(UserError)
    await expect(recommend(model, { goal: 'fun' as 'size' })).rejects.toThrow('expected one of quality, size, speed')
  })
})
