import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { loadTokenizer } from '../../../src/data/tokenizer.ts'
import { prepareTask } from '../../../src/eval/harness/prepare.ts'
import { runTask } from '../../../src/eval/harness/run-task.ts'
import { useEngine } from '../../engine/engines.ts'
import { openForTest } from '../../oneshot/runs.ts'

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const MODEL = at('examples/models/docs-llama-4m')

interface Sample {
  filter: string
  prompt_hash: string
  prompt?: string
  scores?: number[]
  text?: string
  answer?: string
}

/** Made by test/oracles/make_task_scores.py. */
const { runs } = JSON.parse(readFileSync(at('test/oracles/task-scores-docs-llama-4m.json'), 'utf8')) as {
  runs: { task: string; num_fewshot: number; version: number; results: Record<string, number>; samples: Sample[] }[]
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const LOCAL = at('test/data/tasks')

describe('prepareTask', () => {
  test.each(runs.map((run) => [`${run.task}, ${run.num_fewshot} examples`, run] as const))(
    '%s: prompts are those of lm-evaluation-harness to the byte',
    async (_, { task, num_fewshot: shots, samples, version }) => {
      const prepared = await prepareTask(task, { shots, data: LOCAL }, {})
      const expected = samples.filter(({ filter }) => filter === samples[0].filter)
      expect(prepared.questions[0].prompt).toBe(expected[0].prompt)
      expect(prepared.questions.map(({ prompt }) => sha256(prompt))).toEqual(expected.map((sample) => sample.prompt_hash))
      expect(prepared.task.version).toBe(version)
    },
  )
})

describe('runTask on the shipped model', () => {
  useEngine('wasm')

  // More of them in the conformance run: `hellaswag, 5 examples` takes a minute.
  const scored = runs.filter(({ task, num_fewshot: shots }) => shots === 0 || (shots === 2 && (task === 'piqa' || task === 'gsm8k')))

  test.each(scored.map((run) => [`${run.task}, ${run.num_fewshot} examples`, run] as const))(
    '%s: likelihoods, texts and scores are those of lm-evaluation-harness',
    { timeout: 120_000 },
    async (_, { task, num_fewshot: shots, samples, results }) => {
      const prepared = await prepareTask(task, { shots, data: LOCAL }, {})
      const found = await runTask(await openForTest(MODEL), await loadTokenizer(MODEL), prepared, {})
      const expected = samples.filter(({ filter }) => filter === samples[0].filter)
      for (const [i, { prompt, scores = [], text, found: answers = {} }] of found.answers.entries()) {
        // Sums of up to 30 log probabilities in float32, there too.
        for (const [k, score] of scores.entries()) expect(score).toBeCloseTo(expected[i].scores?.[k] ?? Number.NaN, 2)
        expect(text).toBe(expected[i].text)
        const own = samples.filter((sample) => sample.prompt_hash === sha256(prompt) && sample.answer !== undefined)
        expect(answers).toEqual(Object.fromEntries(own.map(({ filter, answer = '' }) => [filter, answer])))
      }
      for (const [name, { value, stderr }] of Object.entries(found.metrics)) {
        const [metric, filter] = name.split(',')
        expect(value).toBeCloseTo(results[name], 12)
        expect(stderr).toBeCloseTo(results[`${metric}_stderr,${filter}`], 12)
      }
    },
  )
})
