// Compress, kill, resume, verify, evaluate, in a loop on the shipped model: `npm run soak`, or node tools/soak.js --minutes 5.
// What it looks for grows slowly: memory, tensors, and moments at which being killed costs more than work.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { oneshot, perplexity, verify } from '../dist/index.js'

const { minutes, seed } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
}).values
const MODEL = fileURLToPath(new URL('../examples/models/docs-llama-4m', import.meta.url))
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const RECIPES = ['gptq-w4a16', 'awq-w4a16-asym', 'rtn-w8a8', 'FP8_DYNAMIC']
const DATA = { numCalibrationSamples: 8, maxSeqLength: 128 }
const SCORE = { dataset: 'docs-text', window: 128, windows: 4, engine: /** @type {const} */ ('wasm') }

/** Numbers from 0 to 1, the same for the same seed (Numerical Recipes' linear congruence). */
const random = (() => {
  let state = Number(seed) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
})()

const counts = { rounds: 0, runs: 0, kills: 0, failures: 0 }
/** @type {{ minutes: number, rss: number }[]} */
const memory = []
const started = performance.now()
const elapsed = () => (performance.now() - started) / 60_000

/** @param {unknown} condition @param {string} what */
function expect(condition, what) {
  if (condition) return
  counts.failures++
  console.error(`FAILED in round ${counts.rounds}: ${what}`)
}

/** One run in a process of its own; killed after some milliseconds where that comes first. Gives its exit code, null for a killed one.
 * @param {string} recipe @param {string} output @param {number | null} killAfter @returns {Promise<number | null>} */
async function run(recipe, output, killAfter) {
  counts.runs++
  const data = ['--num-calibration-samples', String(DATA.numCalibrationSamples), '--max-seq-length', String(DATA.maxSeqLength)]
  const env = { ...process.env, LLMPRESS_JOURNAL_SECONDS: '0.000001' }
  const args = [MAIN, 'oneshot', MODEL, '--recipe', recipe, '--output', output, '--engine', 'wasm', '--quiet', ...data]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  if (killAfter !== null) await Promise.race([ended, setTimeout(killAfter, undefined, { ref: false })])
  if (killAfter !== null && child.exitCode === null) {
    child.kill('SIGKILL')
    counts.kills++
  }
  const code = await ended
  expect(code === 0 || code === null, `${recipe} ended with exit code ${code}: ${errors}`)
  return code
}

/** @param {string} folder */
async function hashOf(folder) {
  /** @type {{ files: { name: string, sha256: string }[] }} */
  const { files } = JSON.parse(await readFile(join(folder, 'llmpress-report.json'), 'utf8'))
  return String(files.find(({ name }) => name === 'model.safetensors')?.sha256)
}

/** Least squares: MB a minute. */
function slope() {
  const n = memory.length
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / n
  const [x, y] = [mean(memory.map((at) => at.minutes)), mean(memory.map((at) => at.rss))]
  const spread = memory.reduce((sum, at) => sum + (at.minutes - x) ** 2, 0)
  return spread === 0 ? 0 : memory.reduce((sum, at) => sum + (at.minutes - x) * (at.rss - y), 0) / spread / 2 ** 20
}

/** @type {Map<string, { sha256: string, perplexity: number, milliseconds: number }>} */
const known = new Map()
const folder = await mkdtemp(join(tmpdir(), 'llmpress-soak-'))
let tensors = -1
try {
  while (elapsed() < Number(minutes)) {
    const recipe = RECIPES[counts.rounds % RECIPES.length]
    const output = join(folder, 'out')
    let reference = known.get(recipe)
    if (!reference) {
      // In this process, undisturbed: its memory and tensors are those that are watched.
      const begun = performance.now()
      const calm = join(folder, `calm-${recipe}`)
      await oneshot(MODEL, recipe, { output: calm, engine: 'wasm', ...DATA })
      const milliseconds = performance.now() - begun
      reference = { sha256: await hashOf(calm), perplexity: (await perplexity(calm, SCORE)).perplexity, milliseconds }
      known.set(recipe, reference)
    } else {
      await oneshot(MODEL, recipe, { output: join(folder, 'again'), engine: 'wasm', ...DATA })
      expect((await hashOf(join(folder, 'again'))) === reference.sha256, `${recipe} gave other bytes in the same process`)
      await rm(join(folder, 'again'), { recursive: true })
    }
    // A process starts for half a second before it does anything.
    let code = await run(recipe, output, 500 + random() * reference.milliseconds)
    while (code === null) code = await run(recipe, output, random() < 0.5 ? null : 500 + random() * reference.milliseconds)
    expect((await hashOf(output)) === reference.sha256, `${recipe} gave other bytes after it was killed`)
    const { problems } = await verify(output, { against: MODEL })
    expect(problems.length === 0, `verify of ${recipe}: ${problems.join('; ')}`)
    const score = await perplexity(output, SCORE)
    expect(score.perplexity === reference.perplexity, `${recipe} scored ${score.perplexity}, expected ${reference.perplexity}`)
    await rm(output, { recursive: true })
    counts.rounds++
    const now = tf.memory().numTensors
    if (tensors >= 0) expect(now === tensors, `${now} tensors on the engine, ${tensors} before`)
    tensors = now
    global.gc?.()
    const rss = process.memoryUsage().rss
    // All recipes once: until then caches fill.
    if (counts.rounds >= RECIPES.length) memory.push({ minutes: elapsed(), rss })
    console.log(
      `${elapsed().toFixed(1)} min  round ${counts.rounds} ${recipe}: ${counts.kills} kills, ${tensors} tensors, ${Math.round(rss / 2 ** 20)} MB`,
    )
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(
  `\n${counts.rounds} rounds, ${counts.runs} processes, ${counts.kills} killed, ${counts.failures} failures; ` +
    `memory ${slope() >= 0 ? '+' : ''}${slope().toFixed(2)} MB a minute, ${tensors} tensors at the end`,
)
if (counts.failures > 0) process.exitCode = 1
