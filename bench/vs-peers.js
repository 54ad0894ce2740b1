// llmpress beside llm-compressor and transformers, in turns, in one run on one machine: medians of wall time and peak memory, and their ratios.
//   npm run build && node bench/vs-peers.js MODEL [--cases 'NAME;NAME'] [--pairs N] [--rows N] [--length N] [--windows N] [--threads N] [--engine E] [--precisions 'float32,bfloat16']
// Python's side is installed once into the cache folder from bench/peers/requirements.txt (6 GB); LLMPRESS_PEERS_PYTHON names an interpreter
// that has it. Whole processes are timed, from start to the saved checkpoint; memory is the highest resident set of the process.
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: 'string' },
    pairs: { type: 'string', default: '3' },
    rows: { type: 'string', default: '32' },
    length: { type: 'string', default: '512' },
    windows: { type: 'string', default: '24' },
    threads: { type: 'string', default: `${availableParallelism()}` },
    engine: { type: 'string', default: 'auto' },
    precisions: { type: 'string', default: 'float32' },
  },
})
const [model] = positionals
if (!model) throw new Error('Cannot compare: no model was given, expected the path of a checkpoint folder')

const ignore = ['lm_head']
const group = (/** @type {number} */ bits, /** @type {boolean} */ symmetric) => ({
  config_groups: { group_0: { targets: ['Linear'], weights: { num_bits: bits, strategy: 'group', group_size: 64, symmetric } } },
  ignore,
})
const gptq = (/** @type {string} */ quality) => ({ GPTQModifier: { ...group(4, true), quality } })

/** @typedef {{ modifiers: object | null, peer: string, aim: number }} Case */

/**
 * What is compared with what: our modifiers, or null to score the model; the peer's case; the ratio that is aimed at. The peer computes in
 * the model's type, so in bfloat16 where that is it, but for perplexity.
 * @type {Record<string, Case>}
 */
const CASES = {
  'gptq-w4-g64 fast': { modifiers: gptq('fast'), peer: 'gptq-w4-g64', aim: 0.35 },
  'gptq-w4-g64 balanced': { modifiers: gptq('balanced'), peer: 'gptq-w4-g64-mse', aim: 0.5 },
  'gptq-w4-g64 best': { modifiers: gptq('best'), peer: 'gptq-w4-g64-mse', aim: 0.8 },
  'smoothquant-gptq-w8a8': {
    modifiers: { SmoothQuantModifier: { smoothing_strength: 0.8 }, GPTQModifier: { scheme: 'W8A8', ignore, quality: 'fast' } },
    peer: 'smoothquant-gptq-w8a8',
    aim: 0.25,
  },
  'awq-w4-g64-asym': { modifiers: { AWQModifier: {}, QuantizationModifier: group(4, false) }, peer: 'awq-w4-g64-asym', aim: 0.25 },
  'rtn-w4-g64': { modifiers: { QuantizationModifier: group(4, true) }, peer: 'rtn-w4-g64', aim: 0.25 },
  'fp8-dynamic': { modifiers: { QuantizationModifier: { scheme: 'FP8_DYNAMIC', ignore } }, peer: 'fp8-dynamic', aim: 0.25 },
  perplexity: { modifiers: null, peer: 'perplexity', aim: 0.6 },
}

/** Python with the peers, installed where it is not. */
function peersPython() {
  if (process.env.LLMPRESS_PEERS_PYTHON) return process.env.LLMPRESS_PEERS_PYTHON
  const cache = process.env.LLMPRESS_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'llmpress')
  const venv = join(cache, 'peers-venv')
  const [python, requirements, done] = [join(venv, 'bin', 'python'), here('peers/requirements.txt'), join(venv, 'requirements.txt')]
  if (!existsSync(done) || !readFileSync(done).equals(readFileSync(requirements))) {
    execFileSync('python3', ['-m', 'venv', '--clear', venv], { stdio: 'inherit' })
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { stdio: 'inherit' })
    copyFileSync(requirements, done)
  }
  return python
}

/**
 * A process to its end: wall seconds and the highest resident set in bytes, as the kernel keeps it (VmHWM), looked at until the end.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<{ seconds: number, memory: number, output: string }>}
 */
function timed(command, args) {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let [output, errors, memory] = ['', '', 0]
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (errors += chunk))
    const watch = setInterval(() => {
      try {
        const found = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))
        if (found) memory = Math.max(memory, Number(found[1]) * 1024)
      } catch {}
    }, 50)
    child.on('close', (code) => {
      clearInterval(watch)
      if (code === 0) resolve({ seconds: (performance.now() - started) / 1000, memory, output })
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}: ${errors.slice(-2000)}`))
    })
  })
}

/** Whether there is anything to multiply: plain rounding looks at weights alone. */
const needsData = (/** @type {object | null} */ modifiers) =>
  modifiers !== null && !('QuantizationModifier' in modifiers && Object.keys(modifiers).length === 1)

const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const python = peersPython()
const work = mkdtempSync(join(tmpdir(), 'llmpress-vs-peers-'))
// Names have commas of their own.
const names = flags.cases?.split(';') ?? Object.keys(CASES)
const cpu = cpus()[0].model
console.log(`${model}, ${flags.rows} rows of ${flags.length} tokens, ${flags.threads} threads of ${cpu}, medians of ${flags.pairs} pairs\n`)
console.log('| case | llmpress s | peer s | ratio | aim | llmpress GB | peer GB | ratio |\n|---|---|---|---|---|---|---|---|')
try {
  for (const name of names) {
    const { modifiers, peer, aim } = CASES[name]
    const rows = modifiers ? flags.rows : flags.windows
    const text = here(modifiers ? '../data/docs-text/calibration.jsonl' : '../data/docs-text/eval.txt')
    const [out, recipe] = [join(work, 'out'), join(work, 'recipe.json')]
    if (modifiers) writeFileSync(recipe, JSON.stringify({ modifiers }))
    const common = ['--engine', flags.engine, '--threads', flags.threads, '-q']
    const sizes = ['--num-calibration-samples', rows, '--max-seq-length', flags.length]
    const ours = modifiers
      ? ['oneshot', model, '-r', recipe, '-o', out, '--dataset', text, ...sizes, ...common]
      : ['eval', model, '--perplexity', text, '--windows', rows, '--window', flags.length, ...common]
    const precisions = needsData(modifiers) ? flags.precisions.split(',') : ['float32']
    /** @typedef {Awaited<ReturnType<typeof timed>>} Timed */
    /** @type {{ own: Timed[], peer: Timed }[]} */
    const pairs = []
    for (let i = 0; i < Number(flags.pairs); i++) {
      /** @type {Timed[]} */
      const own = []
      for (const precision of precisions) {
        own.push(await timed(process.execPath, [here('../dist/cli/main.js'), ...ours, ...(modifiers ? ['--precision', precision] : [])]))
        rmSync(out, { recursive: true, force: true })
      }
      const theirs = await timed(python, [here('peers/peer.py'), peer, model, text, out, rows, flags.length, flags.threads])
      rmSync(out, { recursive: true, force: true })
      pairs.push({ own, peer: theirs })
    }
    for (const [i, precision] of precisions.entries()) {
      const own = (/** @type {'seconds' | 'memory'} */ what) => median(pairs.map((pair) => pair.own[i][what]))
      const theirs = (/** @type {'seconds' | 'memory'} */ what) => median(pairs.map((pair) => pair.peer[what]))
      const ratios = pairs.map((pair) => pair.own[i].seconds / pair.peer.seconds)
      const [m, n] = [own('memory') / 1e9, theirs('memory') / 1e9]
      const times = [own('seconds').toFixed(1), theirs('seconds').toFixed(1), median(ratios).toFixed(2), aim]
      const title = precision === 'float32' ? name : `${name}, ${precision}`
      console.log(`| ${[title, ...times, m.toFixed(2), n.toFixed(2), (m / n).toFixed(2)].join(' | ')} |`)
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
