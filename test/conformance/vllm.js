// Checkpoints behind vLLM on the CPU: tools/conformance-vllm.sh calls it with CONFORMANCE_PYTHON set. What vLLM writes by greedy choice is what
// llmpress writes, but where two tokens are as good as equally likely; `llmpress bench --http` measures the server. Lines as conformance.js has
// them. Arguments: names of cases, all by default.
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
const { benchServer, generate, oneshot } = /** @type {typeof import('../../src/index.ts')} */ (await import(join(ROOT, 'dist', 'index.js')))
const MODEL = join(ROOT, 'examples', 'models', 'docs-llama-4m')

/** Recipes whose schemes vLLM 0.32 runs on a CPU; null for the original. @type {Record<string, string | null>} */
const CASES = { original: null, 'gptq-w4a16-g64': 'gptq-w4a16-g64', 'fp8-dynamic': 'FP8_DYNAMIC', 'w8a8-int8': 'INT8-W8A8' }
const PROMPT = 'The compiler'
const TOKENS = 24
/** Tokens that must be the same from the start: bfloat16 in the server parts the texts sooner or later. */
const SAME = 4
/** Seconds that a server may take to come up: it compiles kernels. */
const PATIENCE = 300

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
        const body = JSON.stringify({ model: 'checkpoint', prompt: PROMPT, max_tokens: TOKENS, temperature: 0 })
        const headers = { 'content-type': 'application/json' }
        const answer = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body })
        const { choices } = /** @type {{ choices?: { text: string }[] }} */ (await answer.json())
        const { text } = await generate({ model: folder, prompt: PROMPT, maxNewTokens: TOKENS, greedy: true, engine: 'wasm' })
        const [theirs, ours] = [String(choices?.[0]?.text), text]
        const [first, second] = [theirs, ours].map((one) => one.trim().split(/\s+/))
        const same = first.findIndex((word, i) => word !== second[i])
        const parts = same < 0 ? 'all of' : `${same} words of`
        check(same < 0 || same >= SAME, `${name}: ${parts} ${JSON.stringify(theirs)} as llmpress writes it (${JSON.stringify(ours)})`)
        const found = await benchServer(url, { maxNewTokens: 16 })
        const rate = found.batch.tokens_per_second
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
