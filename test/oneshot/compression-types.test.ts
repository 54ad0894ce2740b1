import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { planRun } from '../../src/oneshot/plan.ts'
import { schemeLabel } from '../../src/schemes/scheme.ts'
import { RecipeError } from '../../src/util/errors.ts'
import { useEngine } from '../engine/engines.ts'
import { CALIBRATION, openForTest, runTiny, sameBytes, storedLinears, TINY } from './runs.ts'

useEngine('wasm')

const TYPES = [
  { type: 'FP8-W8A8', modifiers: ['QuantizationModifier'], scheme: 'FP8 dynamic', needsInputs: false },
  { type: 'INT8-W8A16', modifiers: ['GPTQModifier'], scheme: 'W8A16 g128', needsInputs: true },
  { type: 'INT8-W8A8', modifiers: ['SmoothQuantModifier', 'GPTQModifier'], scheme: 'W8A8 channel', needsInputs: true },
  { type: 'INT8-W8A16-RTN', modifiers: ['QuantizationModifier'], scheme: 'W8A16 g128', needsInputs: false },
  { type: 'INT4-W4A16', modifiers: ['GPTQModifier'], scheme: 'W4A16 g128', needsInputs: true },
  { type: 'INT4-W4A16-AWQ', modifiers: ['AWQModifier', 'QuantizationModifier'], scheme: 'W4A16 g128 asym', needsInputs: true },
]

describe('compression types as recipes', () => {
  test.each(TYPES)('$type: all linears but lm_head, by $modifiers', async ({ type, modifiers, scheme, needsInputs }) => {
    const plan = await planRun({ model: TINY, recipe: type })
    try {
      expect(plan.modifiers.map(({ name }) => name)).toEqual(modifiers)
      expect(plan.needs !== 'weights').toBe(needsInputs)
      expect(plan.output).toBe(resolve(`tiny-${type}`))
      expect(plan.warnings).toEqual([])
      for (const { spec, scheme: given } of plan.linears)
        expect(given && schemeLabel(given), spec.name).toBe(spec.name === 'lm_head' ? null : scheme)
    } finally {
      await plan.close()
    }
  })

  test('case does not count, and the output folder has the name as it is spelled', async () => {
    const plan = await planRun({ model: TINY, recipe: 'int4-w4a16-awq' })
    expect(plan.output).toBe(resolve('tiny-INT4-W4A16-AWQ'))
    await plan.close()
  })

  test('a name that is none is answered with the nearest', async () => {
    const failure = planRun({ model: TINY, recipe: 'INT4-W4A16-AQW' })
    await expect(failure).rejects.toThrow(RecipeError)
    await expect(failure).rejects.toThrow(/did you mean "INT4-W4A16-AWQ".*INT8-W8A16-RTN/s)
  })

  test('INT8-W8A16-RTN gives the same bytes with data and without', async () => {
    const [plain, given] = [
      await runTiny('INT8-W8A16-RTN', { dataset: undefined }),
      await runTiny('INT8-W8A16-RTN', { dataset: CALIBRATION }),
    ]
    expect(plain.data).toBeNull()
    expect(given.data).toBeNull()
    const [one, two] = await Promise.all([plain, given].map(({ output }) => readFile(join(output, 'model.safetensors'))))
    expect(sameBytes(one, two)).toBe(true)
  })

  test('INT4-W4A16-AWQ stores zero points, INT4-W4A16 none', async () => {
    const zeroPoints = async (type: string) => {
      const stored = await storedLinears(await openForTest((await runTiny(type)).output))
      expect(stored).toHaveLength(14)
      return stored.filter(({ quantized }) => quantized.zeroPoint !== null).length
    }
    expect(await zeroPoints('INT4-W4A16-AWQ')).toBe(14)
    expect(await zeroPoints('INT4-W4A16')).toBe(0)
  })
})
