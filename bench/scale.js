// Wall time and peak memory of a run as layers and rows grow, on random checkpoints: cost should be linear in both, memory flat in layers.
//   npm run build && node bench/scale.js [--shape small] [--length N] [--engine E] [--threads N] [--max-memory SIZE]
// Whole processes are timed; memory is the highest resident set that the kernel has seen of the process (the run record's peakMemory).
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const { values: flags } = parseArgs({
  options: {
    shape: { type: 'string', default: 'small' },
    length: { type: 'string', default: '512' },
    engine: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: `${availableParallelism()}` },
    'max-memory': { type: 'string' },
  },
})

const LAYERS = [4, 8, 16]
const ROWS = [16, 32, 64]
const folder = mkdtempSync(join(tmpdir(), 'llmpress-scale-'))

/**
 * Compresses once; wall seconds, and bytes of memory and of the scratch file.
 * @param {string} model
 * @param {string} recipe
 * @param {readonly string[]} more
 */
function measure(model, recipe, more) {
  const output = join(folder, 'out')
  const started = performance.now()
  const memory = flags['max-memory'] ? ['--max-memory', flags['max-memory']] : []
  const args = ['oneshot', model, '--recipe', recipe, '--output', output, '--threads', flags.threads, '--engine', flags.engine, '--quiet']
  execFileSync(process.execPath, [here('../dist/cli/main.js'), ...args, ...memory, ...more], { stdio: ['ignore', 'ignore', 'inherit'] })
  const seconds = (performance.now() - started) / 1000
  const { peakMemory, scratch = 0 } = JSON.parse(readFileSync(join(output, 'llmpress-report.json'), 'utf8'))
  rmSync(output, { recursive: true })
  return { seconds, peakMemory, scratch }
}

/** @param {number} rows */
const dataFlags = (rows) => ['--num-calibration-samples', `${rows}`, '--max-seq-length', flags.length]

/**
 * @param {string} what
 * @param {number} layers
 * @param {string} rows
 * @param {{ seconds: number, peakMemory: number, scratch: number }} result
 */
function line(what, layers, rows, { seconds, peakMemory, scratch }) {
  const megabytes = (/** @type {number} */ bytes) => (bytes / 1e6).toFixed(0)
  console.log(`| ${what} | ${layers} | ${rows} | ${seconds.toFixed(1)} | ${megabytes(peakMemory)} | ${scratch ? megabytes(scratch) : ''} |`)
}

try {
  console.log(`${cpus()[0]?.model}, ${flags.threads} threads; shape ${flags.shape}, rows of ${flags.length} tokens\n`)
  console.log('| recipe | layers | rows | seconds | peak MB | scratch MB |')
  console.log('|---|---:|---:|---:|---:|---:|')
  for (const layers of LAYERS) {
    const model = join(folder, `model-${layers}`)
    const tool = [here('../tools/make-random-checkpoint.js'), '--shape', flags.shape, '--layers', `${layers}`, '--out', model]
    execFileSync(process.execPath, tool, { stdio: ['ignore', 'ignore', 'inherit'] })
    for (const recipe of ['W4A16', 'FP8_DYNAMIC']) line(recipe, layers, '', measure(model, recipe, []))
    for (const rows of layers === LAYERS[0] ? ROWS : [ROWS[0]]) {
      line('gptq-w4a16', layers, `${rows}`, measure(model, 'gptq-w4a16', dataFlags(rows)))
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
