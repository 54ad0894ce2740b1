// Checkpoints behind vLLM on the CPU: tools/conformance-vllm.sh calls it with CONFORMANCE_PYTHON set. vLLM gives the tokens of a text the
// likelihood that llmpress gives them, but for its bfloat16; `llmpress bench --http` measures the server. Lines as conformance.js has them.
// Arguments: names of cases, all by default.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { benchServer, oneshot, perplexity } = /** @type {typeof import('../../src/index.ts')} */ (
  await import(join(ROOT, 'dist', 'index.js'))
)
const MODEL = join(ROOT, 'examples', 'models', 'docs-llama-4m')

/** Recipes whose schemes vLLM 0.32 runs on a CPU; null for the original. @type {Record<string, string | null>} */
const CASES = { original: null, 'gptq-w4a16-g64': 'gptq-w4a16-g64', 'fp8-dynamic': 'FP8_DYNAMIC', 'w8a8-int8': 'INT8-W8A8' }
const TEXT = (await readFile(join(ROOT, 'data', 'docs-text', 'eval.txt'), 'utf8')).slice(0, 1500)
const TOKENS = 200
/** Nats for a token that two means may be apart: the server computes in bfloat16. */
const CLOSE = 0.02
/** Seconds that a server may take to come up: it compiles kernels. */
const PATIENCE = 600

let [passed, failed] = [0, 0]
/**
 * @param {boolean} good
 * @param {string} what
 */
function check(good, what) {
  if (good) passed++
  else failed++
  console.log(`${good ? 'ok' : 'not ok'} vllm: ${what}`)
}

/** A port that nobody listens on. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

/**
 * Serves a checkpoint while `work` runs.
 * @param {string} folder
 * @param {(url: string) => Promise<void>} work
 */
async function served(folder, work) {
  const port = await freePort()
  const server = ['-m', 'vllm.entrypoints.openai.api_server', '--model', folder, '--served-model-name', 'checkpoint']
  const options = ['--host', '127.0.0.1', '--port', String(port), '--max-model-len', '256', '--enforce-eager', '--dtype', 'bfloat16']
  const env = { ...process.env, VLLM_CPU_KVCACHE_SPACE: '1', VLLM_NO_USAGE_STATS: '1', HF_HUB_OFFLINE: '1' }
  const python = String(process.env.CONFORMANCE_PYTHON)
  // A group of its own: the engine is a process beside the server.
  const child = spawn(python, [...server, ...options], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said = (said + text).slice(-6000)))
  const ended = once(child, 'exit')
  try {
    const url = `http://127.0.0.1:${port}`
    const end = performance.now() + 1000 * PATIENCE
    while (
      !(await fetch(`${url}/health`).then(
        ({ ok }) => ok,
        () => false,
      ))
    ) {
      if (child.exitCode !== null || performance.now() > end) throw new Error(`vLLM does not come up:\n${said}`)
      await wait(500)
    }
    await work(url)
  } finally {
    if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGTERM')
    await Promise.race([ended, wait(20_000)])
    if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
}

/**
 * What the server answers.
 * @param {string} url
 * @param {object} question
 * @returns {Promise<any>}
 */
async function asked(url, question) {
  const body = JSON.stringify({ model: 'checkpoint', ...question })
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${await answer.text()}`)
  return answer.json()
}

const isResult = new Ajv({ strict: false }).compile(JSON.parse(await readFile(join(ROOT, 'schemas', 'bench-result.schema.json'), 'utf8')))
const work = await mkdtemp(join(tmpdir(), 'llmpress-vllm-'))
try {
  const wanted = process.argv.slice(2)
  for (const [name, recipe] of Object.entries(CASES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const folder = recipe === null ? MODEL : join(work, name)
    if (recipe !== null) await oneshot({ model: MODEL, recipe, output: folder, numCalibrationSamples: 32, maxSeqLength: 128 })
    try {
      await served(folder, async (url) => {
        const ids = (await asked(`${url}/tokenize`, { prompt: TEXT })).tokens.slice(0, TOKENS)
        const answer = await asked(`${url}/v1/completions`, { prompt: ids, max_tokens: 1, temperature: 0, prompt_logprobs: 0 })
        const likely = ids
          .slice(1)
          .map((/** @type {number} */ id, /** @type {number} */ i) => answer.choices[0].prompt_logprobs[i + 1][id].logprob)
        const theirs = -likely.reduce((/** @type {number} */ sum, /** @type {number} */ value) => sum + value, 0) / likely.length
        const ours = Math.log((await perplexity(folder, { dataset: [ids], form: 'rows', window: TOKENS, engine: 'wasm' })).perplexity)
        check(Math.abs(theirs - ours) < CLOSE, `${name}: ${theirs} nats for each of ${likely.length} tokens, ${ours} by llmpress`)
        const found = await benchServer(url, { maxNewTokens: 16 })
        const rate = found.batch?.tokens_per_second
        check(isResult(found) && found.model === 'checkpoint' && Number(rate) > 0, `${name}: bench --http measures it (${rate} tokens/s)`)
      })
    } catch (error) {
      check(false, `${name}: ${error instanceof Error ? error.message : error}`)
    }
  }
} finally {
  await rm(work, { recursive: true, force: true })
}
console.log(`conformance: ${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
