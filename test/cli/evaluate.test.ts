import { expect, test } from 'vitest'
import { evaluationText } from '../../src/cli/evaluate.ts'
import type { ModelEvaluation } from '../../src/eval/evaluation.ts'

const text = { perplexity: 20, lengthWeighted: 20, tokens: 1022, windows: 2, window: 512 }
const score = {
  task: 'piqa',
  version: 1,
  shots: 0,
  source: 'rows',
  asked: 2,
  of: 9,
  metrics: { 'acc,none': { value: 0.5, stderr: 0.25 }, 'acc_norm,none': { value: 1, stderr: null } },
  answers: [],
  notes: ['1 of 4 prompts was cut'],
  seconds: 1,
}
const base: ModelEvaluation = {
  model: 'a',
  isOriginal: true,
  error: null,
  text,
  divergence: null,
  tasks: [score],
  failedTasks: {},
  notes: [],
  verdict: 'a is fine.',
}
const other: ModelEvaluation = {
  ...base,
  model: './b',
  isOriginal: false,
  text: { ...text, perplexity: 21 },
  divergence: { original: 'a', klDivergence: 0.0123, topOneAgreement: 0.95, perplexityDifference: 1, layerErrors: [0.001, 0.02] },
  tasks: [],
  notes: ['is odd'],
  verdict: './b is close.',
}

test('evaluationText has a row for each model, and for each the verdict with its notes', () => {
  const found = evaluationText({ models: [base, other], text: 'my.txt', seconds: 3, warnings: [] }, ['out/results.json'])
  expect(found.split('\n')).toEqual([
    'Model  Perplexity  KL divergence  Same first  Last layer         piqa acc  piqa acc_norm',
    'a         20.0000                                         0.5000 ± 0.2500         1.0000',
    './b       21.0000        0.01230      95.0 %      2.00 %',
    '',
    'my.txt: 1,022 tokens in 2 windows of 512, 3.00 s in all',
    'a is fine.',
    '  piqa: 1 of 4 prompts was cut',
    './b is close.',
    '  is odd',
    'written to out/results.json',
  ])
})
