import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Evaluation } from '../../src/index.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

const LOCAL = fileURLToPath(new URL('../data/tasks', import.meta.url))

test('eval refuses a misspelt task before it opens a model', async () => {
  const { code, stdout, stderr } = await runCli(['eval', TINY, '--perplexity', 'docs-text', '--tasks', 'piqa,hellswag', '--engine', 'wasm'])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^error: Cannot run the task "hellswag": it is not known \(did you mean "hellaswag"\?\), expected one of .*piqa/m)
  expect(stderr).not.toContain('layer')
})

test('eval of several models and tasks: what failed is said on stderr, the rest is printed and written', { timeout: 120_000 }, async () => {
  const folder = await folderOf({})
  const tasks = join(folder, 'tasks')
  await cp(join(LOCAL, 'piqa'), join(tasks, 'piqa'), { recursive: true })
  const flags = [
    '--perplexity',
    'docs-text',
    '--window',
    '32',
    '--windows',
    '2',
    '--tasks',
    'piqa,hellaswag',
    '--num_fewshot',
    '1',
    '--limit',
    '2',
  ]
  const places = ['--task_data', tasks, '--output_path', join(folder, 'out'), '--batch', 'auto', '--json', '--quiet', '--engine', 'wasm']
  const { code, stdout, stderr } = await runCli(['eval', TINY, '/no/such/model', ...flags, ...places])
  expect(code).toBe(2)
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(/^error: \/no\/such\/model: Cannot read .*config\.json/),
    expect.stringMatching(/^error: .*Cannot read the task's rows from .*hellaswag: there is no such folder/),
    '',
  ])
  const { models, results } = JSON.parse(stdout) as Evaluation & { results: Record<string, string> }
  expect(models[0].text?.tokens).toBe(62)
  expect(models[0].tasks.map(({ task, shots, asked }) => ({ task, shots, asked }))).toEqual([{ task: 'piqa', shots: 1, asked: 2 }])
  const written = JSON.parse(await readFile(results[TINY], 'utf8')) as { results: object; llmpress: { text: object; failed_tasks: object } }
  expect(Object.keys(written.results)).toEqual(['piqa'])
  expect(written.llmpress.text).toEqual(models[0].text)
  expect(Object.keys(written.llmpress.failed_tasks)).toEqual(['hellaswag'])
})

test('eval --against prints a row and a sentence for each', { timeout: 60_000 }, async () => {
  const rows = join(
    await folderOf({ 'rows.jsonl': `${JSON.stringify({ input_ids: Array.from({ length: 40 }, (_, i) => i + 5) })}\n` }),
    'rows.jsonl',
  )
  const checkpoint = oracleFolder('checkpoints/rtn-w8a16')
  const { code, stdout, stderr } = await runCli([
    'eval',
    checkpoint,
    '--against',
    TINY,
    '--perplexity',
    rows,
    '--quiet',
    '--engine',
    'wasm',
  ])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const lines = stdout.split('\n')
  expect(lines[0]).toMatch(/^Model +Perplexity +KL divergence +Same first +Last layer$/)
  expect(lines[1].startsWith(TINY)).toBe(true)
  expect(lines[5]).toMatch(/, the original, has perplexity \d/)
  expect(lines[6]).toMatch(/KL divergence .* nats, the same first choice for/)
})
