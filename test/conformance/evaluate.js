// Holds perplexity against transformers' and task scores against lm-evaluation-harness's, on the same tokens and rows.
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { evaluate, perplexity } = /** @type {typeof import('../../src/index.ts')} */ (await import(join(ROOT, 'dist', 'index.js')))
const { loadRows } = /** @type {typeof import('../../src/data/load-rows.ts')} */ (await import(join(ROOT, 'dist', 'data', 'load-rows.js')))
const { loadTokenizer } = /** @type {typeof import('../../src/data/tokenizer.ts')} */ (
  await import(join(ROOT, 'dist', 'data', 'tokenizer.js'))
)

const TEXT = join(ROOT, 'data', 'docs-text', 'eval.txt')
const TASKS = join(ROOT, 'test', 'data', 'tasks')
const WINDOW = 256
const WINDOWS = 8

/**
 * @param {string} interpreter
 * @param {string[]} args
 * @returns {string | null}
 */
function python(interpreter, args) {
  const env = { ...process.env, HF_HUB_OFFLINE: '1', HF_DATASETS_OFFLINE: '1', TOKENIZERS_PARALLELISM: 'false', OMP_NUM_THREADS: '1' }
  const { status, stdout, stderr } = spawnSync(interpreter, ['-W', 'ignore', ...args], { encoding: 'utf8', env, maxBuffer: 2 ** 28 })
  if (status !== 0) console.error(stderr.slice(-2000))
  return status === 0 ? stdout : null
}

/**
 * @param {string} model
 * @param {string} interpreter
 * @param {string} work
 * @param {number[]} shots
 * @param {(good: boolean, what: string) => void} check
 */
export async function compareEvaluation(model, interpreter, work, shots, check) {
  await comparePerplexity(model, interpreter, work, check)
  const output = join(work, 'task-scores.json')
  const script = join(ROOT, 'test', 'oracles', 'make_task_scores.py')
  if (python(interpreter, [script, model, TASKS, output, '--fewshot', ...shots.map(String)]) === null) {
    check(false, `${model}: lm-evaluation-harness failed`)
    return
  }
  const { runs } = JSON.parse(await readFile(output, 'utf8'))
  for (const run of runs) {
    const { task, num_fewshot: count } = run
    const found = await evaluate({ models: [model], tasks: [task], taskOptions: { shots: count, data: TASKS } })
    const [score] = found.models[0].tasks
    const first = run.samples.filter((/** @type {{ filter: string }} */ { filter }) => filter === run.samples[0].filter)
    let apart = 0
    let texts = 0
    for (const [i, answer] of score.answers.entries()) {
      for (const [k, value] of (answer.scores ?? []).entries()) apart = Math.max(apart, Math.abs(value - first[i].scores[k]))
      if (answer.text !== undefined && answer.text === first[i].text) texts++
    }
    const metrics = Object.entries(score.metrics).map(([name, { value }]) => `${name} ${value} and ${run.results[name]}`)
    const same = Object.entries(score.metrics).every(([name, { value }]) => Math.abs(value - run.results[name]) < 1e-9)
    const what =
      score.answers[0].text === undefined
        ? `likelihoods ${apart.toExponential(1)} nats apart at most`
        : `${texts} of ${score.asked} texts equal`
    check(same && apart < 0.01, `${model}: ${task}, ${count} examples, as lm-evaluation-harness scores it: ${metrics.join(', ')}; ${what}`)
  }
}

/**
 * @param {string} model
 * @param {string} interpreter
 * @param {string} work
 * @param {(good: boolean, what: string) => void} check
 */
async function comparePerplexity(model, interpreter, work, check) {
  const { perplexity: ours } = await perplexity(model, { dataset: TEXT, window: WINDOW, windows: WINDOWS })
  const request = { dataset: TEXT, tokenizer: () => loadTokenizer(model), samples: WINDOWS, length: WINDOW, seed: 0, vocab: 2 ** 31 }
  const { rows } = await loadRows({ ...request, purpose: 'evaluation' })
  const file = join(work, 'perplexity-rows.json')
  await writeFile(file, JSON.stringify(rows.map((/** @type {Int32Array} */ row) => [...row])))
  const theirs = Number(python(interpreter, [join(ROOT, 'test', 'conformance', 'perplexity.py'), model, file]))
  check(Math.abs(ours / theirs - 1) < 5e-5, `${model}: perplexity ${ours.toFixed(6)}, with transformers ${theirs.toFixed(6)}`)
}
