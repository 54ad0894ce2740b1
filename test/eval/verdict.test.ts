import { describe, expect, test } from 'vitest'
import type { ModelEvaluation } from '../../src/eval/evaluation.ts'
import { verdictOf } from '../../src/eval/verdict.ts'

const text = { perplexity: 20, lengthWeighted: 20, tokens: 100, windows: 1, window: 101 }
const found: Omit<ModelEvaluation, 'verdict'> = {
  model: 'm',
  isOriginal: false,
  error: null,
  text,
  divergence: null,
  tasks: [],
  failedTasks: {},
  notes: [],
}
const withKl = (klDivergence: number) => ({
  ...found,
  divergence: { original: 'o', klDivergence, topOneAgreement: 0.912, perplexityDifference: 1.234, layerErrors: null },
})

describe('verdictOf', () => {
  test.each([
    [0, 'computes what the original computes'],
    [0.001, 'can hardly be told from the original'],
    [0.01, 'is very close to the original'],
    [0.05, 'is close to the original'],
    [0.2, 'has lost a noticeable part of what the original can'],
    [2, 'has lost much of what the original can'],
  ])('a KL divergence of %s means that the model %s', (kl, words) => {
    expect(verdictOf(withKl(kl), null)).toBe(
      `m ${words}: perplexity 20.00 (1.23 apart), KL divergence ${kl} nats, the same first choice for 91.2 % of tokens.${kl > 0.08 ? " See 'llmpress explain quality'." : ''}`,
    )
  })

  test('says of a task how it stands against the original, and whether that is within the error', () => {
    const score = (value: number) => ({
      task: 'piqa',
      version: 1,
      shots: 0,
      source: '',
      asked: 100,
      of: 100,
      metrics: { 'acc,none': { value: 0.1, stderr: 0.03 }, 'acc_norm,none': { value, stderr: 0.04 } },
      answers: [],
      notes: [],
      seconds: 0,
    })
    const own = { ...found, text: null, tasks: [score(0.7)] }
    expect(verdictOf(own, { text: null, tasks: [score(0.75)] })).toBe('m scores 70.0 % on piqa against 75.0 %, within the error.')
    expect(verdictOf(own, { text: null, tasks: [score(0.9)] })).toBe('m scores 70.0 % on piqa against 90.0 %.')
    expect(verdictOf({ ...own, isOriginal: true }, own)).toBe('m, the original, scores 70.0 % on piqa.')
  })

  test('says what failed', () => {
    expect(verdictOf({ ...found, text: null, error: 'Cannot read it.' }, null)).toBe('m could not be evaluated: Cannot read it.')
    expect(verdictOf({ ...found, failedTasks: { piqa: 'no rows' } }, null)).toBe('m has perplexity 20.00; has no score for piqa.')
  })
})
