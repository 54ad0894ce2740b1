import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type EvaluateOptions, evaluate } from '../../src/eval/evaluate.ts'
import type { Evaluation } from '../../src/eval/evaluation.ts'
import { writeResults } from '../../src/eval/harness/results-file.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { UserError } from '../../src/util/errors.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { oracleFolder, oracleRows } from '../models/oracles.ts'
import { TINY } from '../oneshot/runs.ts'

const ROWS = oracleRows('checkpoints/input_ids.safetensors', 'eval').slice(0, 2)
const LOCAL = fileURLToPath(new URL('../data/tasks', import.meta.url))
const W4A16 = oracleFolder('checkpoints/rtn-w4a16')
const W8A8 = oracleFolder('checkpoints/rtn-w8a8')
const DOCS = fileURLToPath(new URL('../../examples/models/docs-llama-4m', import.meta.url))

const run = (options: Omit<EvaluateOptions, 'engine'>): Promise<Evaluation> => evaluate({ ...options, engine: 'wasm' })
const onRows = { dataset: ROWS, window: 64 }

describe('evaluate', () => {
  test('compares every checkpoint with the first, which is not compressed, on the same rows', { timeout: 60_000 }, async () => {
    const { models } = await run({ models: [TINY, W4A16, W8A8, TINY], text: onRows })
    // A model that is named twice is evaluated once.
    expect(models.map(({ model, isOriginal, error }) => ({ model, isOriginal, error }))).toEqual([
      { model: TINY, isOriginal: true, error: null },
      { model: W4A16, isOriginal: false, error: null },
      { model: W8A8, isOriginal: false, error: null },
    ])
    const [original, w4, w8] = models
    for (const { model, text } of models) {
      const alone = await perplexity(model, { dataset: ROWS, window: 64, engine: 'wasm' })
      expect(text?.perplexity).toBe(alone.perplexity)
      expect(text?.lengthWeighted).toBeCloseTo(alone.perplexity, 9)
    }
    expect(original.divergence).toBeNull()
    expect(w4.divergence?.klDivergence).toBeGreaterThan(10 * (w8.divergence?.klDivergence ?? 0))
    expect(w4.divergence?.layerErrors).toHaveLength(2)
    expect(w4.divergence?.layerErrors?.[1]).toBeGreaterThan(w8.divergence?.layerErrors?.[1] ?? 1)
    expect(w4.divergence?.perplexityDifference).toBeCloseTo(Math.abs((w4.text?.perplexity ?? 0) - (original.text?.perplexity ?? 0)), 9)
    expect(w4.verdict).toMatch(/KL divergence .* nats, the same first choice for \d+\.\d % of tokens\./)
    expect(w8.verdict).toMatch(/can hardly be told from the original|is very close to the original/)
  })

  test('an original of its own is scored too; compressed ones alone have nothing to be compared with', { timeout: 60_000 }, async () => {
    const against = await run({ models: [W4A16], against: TINY, text: onRows })
    expect(against.models.map(({ model, isOriginal }) => [model, isOriginal])).toEqual([
      [TINY, true],
      [W4A16, false],
    ])
    const alone = await run({ models: [W4A16, W8A8], text: onRows })
    expect(alone.models.map(({ isOriginal, divergence }) => [isOriginal, divergence])).toEqual([
      [false, null],
      [false, null],
    ])
  })

  test('a checkpoint that is damaged or has no tokenizer says so, and the others go on', { timeout: 60_000 }, async () => {
    const damaged = await folderOf({})
    await cp(TINY, damaged, { recursive: true })
    const weights = await readFile(join(damaged, 'model.safetensors'))
    const header = 8 + Number(weights.readBigUInt64LE())
    // NaN in both types that the file has.
    weights.fill(0xff, header)
    await writeFile(join(damaged, 'model.safetensors'), weights)
    const silent = await folderOf({})
    await cp(TINY, silent, { recursive: true })
    await rm(join(silent, 'tokenizer.json'))
    const { models } = await run({
      models: [TINY, damaged, silent, '/no/such/model'],
      text: { dataset: 'docs-text', window: 64, windows: 2 },
    })
    expect(models[0].text?.tokens).toBe(126)
    expect(models[1].error).toMatch(/not finite|NaN/)
    expect(models[2].error).toMatch(/tokenizer\.json is missing/)
    expect(models[3].error).toMatch(/config\.json: there is no folder \/no\/such\/model, expected a model folder/)
    expect(models[3].verdict).toMatch(/could not be evaluated/)
  })

  test('a model with another tokenizer is scored on its own tokens, and said so', { timeout: 60_000 }, async () => {
    const { models } = await run({ models: [TINY, DOCS], text: { dataset: 'docs-text', window: 64, windows: 2 } })
    expect(models[1].text?.tokens).toBe(126)
    expect(models[1].divergence).toBeNull()
    expect(models[1].notes.join()).toMatch(/cuts the text into other tokens/)
  })

  test('malformed rows are errors of the task; what is known already is handed out', { timeout: 60_000 }, async () => {
    const data = await folderOf({})
    await cp(LOCAL, data, { recursive: true })
    const rows = (await readFile(join(LOCAL, 'piqa', 'validation.jsonl'), 'utf8')).trimEnd().split('\n')
    rows[2] = rows[2].replace(/"label": \d/, '"label": 2')
    await writeFile(join(data, 'piqa', 'validation.jsonl'), rows.join('\n'))
    const seen: number[] = []
    const { models } = await run({
      models: [TINY],
      tasks: ['piqa', 'arc_easy'],
      taskOptions: { limit: 4, data },
      onFound: ({ models: [{ tasks }] }) => {
        seen.push(tasks.length)
      },
    })
    expect(models[0].tasks.map(({ task, asked, of }) => ({ task, asked, of }))).toEqual([{ task: 'arc_easy', asked: 4, of: 16 }])
    expect(models[0].failedTasks.piqa).toMatch(/validation\.jsonl:3: "label" holds 2, expected the number of the right choice, 0 to 1/)
    expect(seen).toEqual([1])
  })

  test('prompts that are longer than the context are cut from the left, and said so', { timeout: 60_000 }, async () => {
    const { models } = await run({ models: [TINY], tasks: ['hellaswag'], taskOptions: { limit: 1, shots: 5, data: LOCAL } })
    expect(models[0].tasks[0].notes).toEqual(['4 of 4 prompts are longer than 256 tokens and were cut from the left'])
  })

  test('where nothing can be done it is an error', async () => {
    const empty = await folderOf({ 'empty.txt': '' })
    const cases: [Omit<EvaluateOptions, 'engine'>, RegExp][] = [
      [{ models: [TINY] }, /found neither text nor tasks/],
      [
        { models: [TINY], tasks: ['mmlu'] },
        /Cannot run the task "mmlu": it is not known, expected one of arc_easy, gsm8k, hellaswag, piqa/,
      ],
      // Said first, though the model is not there and the text could be scored.
      [
        { models: ['/no/such/model'], text: onRows, tasks: ['piqa', 'hellswag'] },
        /Cannot run the task "hellswag": it is not known \(did you mean "hellaswag"\?\)/,
      ],
      [{ models: ['/no/such/model'], text: onRows }, /no\/such\/model\/config\.json/],
      [{ models: [TINY], text: { dataset: join(empty, 'empty.txt') } }, /empty/],
      [{ models: [TINY], against: '/no/such/model', text: onRows }, /Cannot compare with \/no\/such\/model/],
      [{ models: [TINY], text: { dataset: ROWS, window: 300 } }, /windows of 300 tokens: the model has 256 positions/],
      [{ models: [TINY], tasks: ['gsm8k'], taskOptions: { shots: 20, data: LOCAL } }, /the split train has 8 rows, expected at least 20/],
    ]
    for (const [options, message] of cases) {
      const error: unknown = await run(options).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(UserError)
      expect(String(error)).toMatch(message)
    }
  })
})

describe('the forms of perplexity', () => {
  const texts = ['One line of text that is long enough.', '', 'Another line, which is a little longer than the first one.', '  ']

  test('rows: each document alone, blank ones left out, tokens weighted alike', async () => {
    const whole = await perplexity(TINY, { dataset: texts, form: 'rows', engine: 'wasm' })
    const parts = []
    for (const text of [texts[0], texts[2]]) parts.push(await perplexity(TINY, { dataset: [text], form: 'text', engine: 'wasm' }))
    const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
    const mean = parts.reduce((sum, part) => sum + part.tokens * Math.log(part.perplexity), 0) / tokens
    expect(whole.windows).toBe(2)
    expect(whole.perplexity).toBeCloseTo(Math.exp(mean), 6)
    const { models } = await run({ models: [TINY], text: { dataset: texts, form: 'rows' } })
    const weighted = parts.reduce((sum, part) => sum + (part.tokens + 1) * Math.log(part.perplexity), 0) / (tokens + parts.length)
    expect(models[0].text?.lengthWeighted).toBeCloseTo(Math.exp(weighted), 6)
  })

  test('rows: as many documents are looked at as asked for, blank ones among them', async () => {
    expect((await perplexity(TINY, { dataset: texts, form: 'rows', windows: 2, engine: 'wasm' })).windows).toBe(1)
  })

  test('a model that gives every token the same probability has the vocabulary as its perplexity', async () => {
    const folder = await folderOf({})
    await cp(TINY, folder, { recursive: true })
    const file = join(folder, 'model.safetensors')
    const weights = await readFile(file)
    const start = 8 + Number(weights.readBigUInt64LE())
    const header = JSON.parse(weights.subarray(8, start).toString()) as Record<string, { data_offsets: [number, number] }>
    // Without a last norm all logits are 0.
    const [from, to] = header['model.norm.weight'].data_offsets
    weights.fill(0, start + from, start + to)
    await writeFile(file, weights)
    const { perplexity: uniform } = await perplexity(folder, { dataset: ROWS, window: 64, engine: 'wasm' })
    expect(uniform / 320).toBeCloseTo(1, 6)
  })

  test('text: one window, which is refused where the model has fewer positions', async () => {
    const long = [texts[2].repeat(40)]
    await expect(perplexity(TINY, { dataset: long, form: 'text', engine: 'wasm' })).rejects.toThrow(
      /as one text: it has \d+ tokens and the model 256/,
    )
    const cut = await perplexity(TINY, { dataset: long, form: 'text', window: 100, engine: 'wasm' })
    expect({ windows: cut.windows, tokens: cut.tokens }).toEqual({ windows: 1, tokens: 99 })
  })
})

test('writeResults lays results out as the harness does', async () => {
  const folder = await folderOf({})
  await mkdir(folder, { recursive: true })
  const { models } = await run({ models: [TINY], tasks: ['piqa'], taskOptions: { limit: 2, shots: 1, data: LOCAL } })
  const path = await writeResults(folder, { ...models[0], model: 'org/tiny' }, { started: Date.UTC(2026, 0, 2, 3, 4, 5, 6), limit: 2 })
  expect(path).toBe(join(folder, 'org__tiny', 'results_2026-01-02T03-04-05.006.json'))
  const written = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  // What lm-eval 0.4.13 writes, but for facts about torch and the machine.
  expect(Object.keys(written)).toEqual(
    expect.arrayContaining([
      'results',
      'group_subtasks',
      'configs',
      'versions',
      'n-shot',
      'higher_is_better',
      'n-samples',
      'config',
      'date',
      'model_name_sanitized',
    ]),
  )
  expect(written).toMatchObject({
    results: { piqa: { name: 'piqa', alias: 'piqa', sample_len: 2 } },
    versions: { piqa: 1 },
    'n-shot': { piqa: 1 },
    'n-samples': { piqa: { original: 16, effective: 2 } },
    higher_is_better: { piqa: { acc: true, acc_norm: true } },
    config: { limit: 2, fewshot_seed: 1234 },
    model_name: 'org/tiny',
  })
  const { piqa } = written.results as { piqa: Record<string, number> }
  expect(Object.keys(piqa).sort()).toEqual([
    'acc,none',
    'acc_norm,none',
    'acc_norm_stderr,none',
    'acc_stderr,none',
    'alias',
    'name',
    'sample_len',
  ])
})
