import { expect, test } from 'vitest'
import type { Evaluation, ModelEvaluation } from '../../src/eval/evaluation.ts'
import { reportScores } from '../../src/eval/report-scores.ts'

const metrics = (value: number) => ({ 'acc,none': { value: 0.5, stderr: null }, 'acc_norm,none': { value, stderr: null } })
const task = { task: 'piqa', version: 1, shots: 0, source: 'rows', asked: 2, of: 2, answers: [], notes: [], seconds: 1 }
const original: ModelEvaluation = {
  model: 'org/name',
  isOriginal: true,
  error: null,
  text: { perplexity: 17, lengthWeighted: 17, tokens: 10, windows: 1, window: 11 },
  divergence: null,
  tasks: [{ ...task, metrics: metrics(0.7) }],
  failedTasks: {},
  notes: [],
  verdict: 'org/name, the original, is fine.',
}
const compressed: ModelEvaluation = {
  ...original,
  model: './out',
  isOriginal: false,
  text: { ...original.text, perplexity: 19 } as ModelEvaluation['text'],
  divergence: { original: 'org/name', klDivergence: 0.03, topOneAgreement: 0.9, perplexityDifference: 2, layerErrors: null },
  tasks: [{ ...task, metrics: metrics(0.6) }],
  verdict: './out is close.',
}
const found: Evaluation = { models: [original, compressed], text: 'docs-text', seconds: 1, warnings: [] }

test('reportScores has a row for each figure of a model, beside the original', () => {
  expect(reportScores(found, './out')).toEqual({
    verdict: './out is close.',
    original: 'org/name',
    rows: [
      { name: 'Perplexity on docs-text, 1 × 11 tokens', unit: 'number', value: 19, original: 17 },
      { name: 'KL divergence', unit: 'number', value: 0.03, original: null },
      { name: 'Same first choice', unit: 'share', value: 0.9, original: null },
      { name: 'piqa acc_norm', unit: 'share', value: 0.6, original: 0.7 },
    ],
  })
})

test('reportScores has none for a model that was not scored, nor for one that was not there', () => {
  expect(reportScores({ ...found, models: [{ ...compressed, text: null, tasks: [] }] }, './out')).toBeNull()
  expect(reportScores(found, './other')).toBeNull()
})
