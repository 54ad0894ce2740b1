import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Study } from '../../src/report/study.ts'
import { studyPage } from '../../src/report/study-page.ts'
import { writeStudy } from '../../src/report/write-study.ts'
import { UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

const counts = [1, 2, 1]
const spread = { counts, min: -1, max: 1, mean: 0, deviation: 0.5 }

/** A study as `study` gives it, with texts of the caller's. */
function studyOf({ model = 'org/gpt2', text = ' that', klDivergence = 0.001 } = {}): Study {
  const weight = { multiplier: 127, codes: [1, -2] }
  const compared = { perplexity: 21, perplexityDifference: 1, topOneAgreement: 0.97, newTokens: 4 }
  return {
    ...{ model, modelType: 'gpt2', llmpress: '0.1.0', parameters: 4, tensors: 1, prompt: 'I have', verdict: 'Both are fine.' },
    files: [{ name: 'model.safetensors', bytes: 16, before: 'ab', after: 'ab' }],
    sampling: { maxLength: 50, topK: 30, temperature: 1, seed: 0 },
    text: { name: 'docs-text', tokens: 100, windows: 1, window: 101 },
    weight: {
      name: 'w',
      file: 'f',
      shape: [2, 2],
      dtype: 'F32',
      values: [0.1, -0.2],
      absmax: weight,
      zeroPoint: { ...weight, zeroPoint: 3 },
    },
    edges: [-2, -1, 1, 2],
    histograms: [
      { ...spread, name: 'original', meanError: 0 },
      { ...spread, name: 'absmax', meanError: 0.001 },
      { ...spread, name: 'zero-point', meanError: 0.0009 },
    ],
    models: [
      { ...compared, name: 'original', klDivergence: 0, meanError: 0, text, sameTokens: 4 },
      { ...compared, name: 'absmax', klDivergence, meanError: 0.001, text, sameTokens: 4 },
      { ...compared, name: 'zero-point', klDivergence: klDivergence * 2, meanError: 0.001, text, sameTokens: 1 },
    ],
    sizes: [
      { name: 'original', bytes: 16, scales: 0, ratio: 1, reduction: 0 },
      { name: 'absmax', bytes: 8, scales: 4, ratio: 2, reduction: 0.5 },
      { name: 'zero-point', bytes: 12, scales: 8, ratio: 1.33, reduction: 0.25 },
      { name: 'LLM.int8()', bytes: 14, scales: 4, ratio: 1.14, reduction: 0.125 },
    ],
    warnings: [],
    seconds: 1,
  }
}

describe('studyPage()', () => {
  test('has a place for each figure, texts side by side, hashes, and asks for nothing', async () => {
    const page = await studyPage(studyOf())
    for (const part of ['data-figure="histogram"', 'data-figure="sizes"', '<h3>zero-point</h3>', 'The first 1 new token as the original'])
      expect(page.includes(part)).toBe(true)
    expect(page.includes('The same tokens as the original.')).toBe(true)
    expect(page.match(/(src|href)="(?!data:).*/g)).toBeNull()
    expect(page.includes('default-src &#39;none&#39;')).toBe(true)
  })

  test.each([
    [0.001, 'good'],
    [0.1, 'check'],
    [2, 'poor'],
  ])('a KL divergence of %s is %s', async (klDivergence, grade) => {
    expect((await studyPage(studyOf({ klDivergence }))).includes(`verdict ${grade}`)).toBe(true)
  })

  test('names and texts that are markup stay text', async () => {
    const evil = '</script><script>alert(2)</script><img src=x onerror=alert(1)>'
    const page = await studyPage(studyOf({ model: evil, text: evil }))
    expect(page.includes('<img')).toBe(false)
    expect(page.includes('<script>alert')).toBe(false)
    expect(page.match(/<\/script>/g)).toHaveLength(4)
  })
})

describe('writeStudy()', () => {
  test('names the file that cannot be written', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    const failed = writeStudy(studyOf(), join(folder, 'file'))
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow('study.html')
  })
})
