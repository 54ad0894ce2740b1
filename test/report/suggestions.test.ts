import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { planRun } from '../../src/oneshot/plan.ts'
import { suggestionsFor } from '../../src/report/suggestions.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { recordOf, statisticsOf } from './runs.ts'

const gptq = (options: string) => ({ recipe: { name: 'mine', text: `- gptq: { scheme: W4A16, ignore: [lm_head]${options} }\n` } })
const titles = (...args: Parameters<typeof suggestionsFor>) => suggestionsFor(...args).map(({ title }) => title)

describe('suggestionsFor()', () => {
  test('rounding: GPTQ first, as a diff of the recipe', () => {
    const [first, ...others] = suggestionsFor(recordOf(), null)
    expect(first.title).toBe('Let GPTQ round')
    expect(first.diff.map(({ sign, text }) => sign + text)).toEqual([
      '-QuantizationModifier:',
      '+GPTQModifier:',
      '   ignore: [lm_head]',
      '   scheme: W4A16',
    ])
    expect(others.map(({ title }) => title)).toEqual(['Give groups zero points', 'Take groups of 64'])
  })

  test('a linear that loses many times what others do: its stage in 16 bits', () => {
    const record = recordOf(gptq(', quality: best'))
    record.linears[3].error = 0.2
    const [first] = suggestionsFor(record, statisticsOf(record))
    expect(first.title).toBe('Keep 1 linear in 16 bits')
    expect(first.why).toMatch(/loses 20\.0 %, .* 1\.00 %\. Costs about 1\.8 kB/)
    expect(first.recipe).toContain('ignore: [lm_head, model.layers.1.mlp.down_proj]')
  })

  test('GPTQ below its best quality: best', () => {
    expect(titles(recordOf(gptq('')), null)).toContain('Take quality: best')
    expect(titles(recordOf(gptq(', quality: best')), null)).not.toContain('Take quality: best')
  })

  test('eight bits that lose nothing: four', () => {
    expect(titles(recordOf({}, { scheme: 'W8A16 channel', error: 1e-5 }), null)).toEqual(['Try 4 bits'])
  })

  test('rows held back that lose much more: more rows, as flags', () => {
    const request = { dataset: 'mixed-text', numCalibrationSamples: 32, maxSeqLength: 64 }
    const data = { source: 'mixed-text', rows: 32, tokens: 2048, request }
    const [first] = suggestionsFor(recordOf({ data, ...gptq('') }, { errorOf: 'outputs', heldBackError: 0.03 }), null)
    expect(first).toMatchObject({ title: 'Calibrate with more rows', recipe: null, flags: '--num-calibration-samples 64' })
  })

  test('several modifiers that quantize, and recipes that are none: nothing to edit', () => {
    for (const text of ['- rtn: { scheme: W4A16 }\n- gptq: { scheme: W4A16 }\n', ': [', '{}'])
      expect(titles(recordOf({ recipe: { name: 'mine', text } }), null)).toEqual([])
  })

  test('every changed recipe is one that can be planned', async () => {
    const output = join(await temporaryFolder(), 'out')
    for (const text of [
      'rtn: { scheme: W4A16, ignore: [lm_head] }',
      '- gptq: { scheme: W4A16, ignore: lm_head }',
      'rtn: { scheme: W8A16, group_size: 128 }',
    ]) {
      const eight = text.includes('W8') ? { scheme: 'W8A16 g128', error: 1e-5 } : {}
      const record = recordOf({ recipe: { name: 'mine', text } }, eight)
      record.linears[3].error *= 20
      const suggested = suggestionsFor(record, statisticsOf(record))
      expect(suggested.length).toBeGreaterThan(0)
      for (const { recipe } of suggested) {
        if (recipe !== null) await (await planRun({ model: oracleFolder('tiny'), recipe, output })).close()
      }
    }
  })
})
