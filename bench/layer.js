// GPTQ of one layer at a large model's size, given the Hessians of its stages: from Hessians to codes. One table, a line for each stage.
//   npm run build && node bench/layer.js [--hidden N] [--kv N] [--inner N] [--group N] [--quality Q] [--stage NAME] [--engine E] [--threads N]
// Weights are uniform; Hessians are those of random inputs with some directions in common and columns of different size. Making them is
// not counted. What the report says about each linear (errors) stands apart.
import { subscribe } from 'node:diagnostics_channel'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { gramBands, readBands } from '../dist/engine/gram.js'
import { openEngine } from '../dist/engine/open.js'
import { openKernels } from '../dist/kernels/open.js'
import { modifier } from '../dist/modifiers/gptq.js'
import { resolveArgs } from '../dist/schemes/args.js'
import { collectGarbage } from '../dist/util/collect-garbage.js'
import { SPANS } from '../dist/util/span.js'

const { values: flags } = parseArgs({
  options: {
    hidden: { type: 'string', default: '4096' },
    kv: { type: 'string', default: '1024' },
    inner: { type: 'string', default: '14336' },
    group: { type: 'string', default: '128' },
    quality: { type: 'string', default: 'fast' },
    stage: { type: 'string' },
    engine: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: `${availableParallelism()}` },
  },
})
const [hidden, kv, inner] = [flags.hidden, flags.kv, flags.inner].map(Number)
/** @typedef {{ name: string, columns: number, rows: number[] }} Shape */
/** @type {Shape[]} */
const STAGES = [
  { name: 'attention inputs', columns: hidden, rows: [hidden, kv, kv] },
  { name: 'attention output', columns: hidden, rows: [hidden] },
  { name: 'mlp inputs', columns: hidden, rows: [inner, inner] },
  { name: 'mlp output', columns: inner, rows: [hidden] },
]
const TOKENS = 2048
const COMMON = 32
const STEPS = ['factor', 'scales', 'sweep', 'refine', 'errors']

/**
 * Uniform in -1 .. 1, the same every time (Numerical Recipes' linear congruential generator).
 * @param {number} length
 */
function uniform(length) {
  const values = new Float32Array(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    values[i] = state / 2 ** 31 - 1
  }
  return values
}

/**
 * The second moments of a stage's inputs.
 * @param {number} n
 */
async function hessian(n) {
  const bands = tf.tidy(() => {
    const sizes = tf.exp(tf.mul(tf.tensor2d(uniform(n), [1, n]), 1.5))
    const own = tf.tensor2d(uniform(TOKENS * n), [TOKENS, n])
    const common = tf.matMul(tf.tensor2d(uniform(TOKENS * COMMON), [TOKENS, COMMON]), tf.tensor2d(uniform(COMMON * n), [COMMON, n]))
    return gramBands(tf.mul(tf.add(own, tf.mul(common, 0.2)), sizes))
  })
  const matrix = await readBands(bands)
  matrix.divide(TOKENS)
  return { n, matrix, tokens: TOKENS }
}

const threads = Number(flags.threads)
const engine = await openEngine({ engine: /** @type {'auto'} */ (flags.engine), threads, givesBack: true })
const kernels = await openKernels({ threads })
/** @type {Map<string, number>} */
const spent = new Map()
subscribe(SPANS, (message) => {
  const { category, name, start, end } = /** @type {import('../dist/util/span.js').Span} */ (message)
  const step = name === 'inverseFactor' ? 'factor' : category === 'step' ? name : ''
  if (STEPS.includes(step)) spent.set(step, (spent.get(step) ?? 0) + (end - start) / 1000)
})

/**
 * Compresses the linears of a stage; what each step took, in seconds.
 * @param {Shape} shape
 */
async function compress({ name, columns, rows }) {
  const fitted = { hessian: await hessian(columns), pull: null, mean: null }
  const weights = resolveArgs({ num_bits: 4, strategy: 'group', group_size: Number(flags.group), symmetric: true, actorder: 'static' })
  const scheme = { targets: ['Linear'], weights, input_activations: null, output_activations: null, format: null }
  const linears = rows.map((count, i) => ({
    ...{ name: `${name} ${i}`, rows: count, columns, dtype: /** @type {const} */ ('BF16'), scheme },
    ...{ weight: uniform(count * columns), bias: null, quantized: null, report: null },
  }))
  const stage = {
    ...{ name, linears, engine, kernels, signal: new AbortController().signal, hasInputs: true, addsToResidual: false },
    measured: new Map([['moments of all rows', { fitted, heldBack: null, rounded: false }]]),
    eachInput: async () => {},
    rescaleInputs: () => Promise.reject(new Error('expected no rescaling')),
  }
  const options = { hold_back: false, quality: /** @type {'fast'} */ (flags.quality) }
  const gptq = modifier.create(/** @type {Parameters<typeof modifier.create>[0]} */ (options))
  spent.clear()
  const processor = process.cpuUsage()
  const started = performance.now()
  await gptq.apply(stage, new Map(linears.map((linear) => [linear, scheme])))
  const all = (performance.now() - started) / 1000
  const used = process.cpuUsage(processor)
  const parts = STEPS.map((step) => spent.get(step) ?? 0)
  const rest = parts.reduce((left, part) => left - part, all)
  // Relative errors of the outputs: they show that what was timed is GPTQ.
  const reports = /** @type {import('../dist/modifiers/modifier.js').LinearReport[]} */ (linears.flatMap(({ report }) => report ?? []))
  const error = Math.max(...reports.map((report) => report.error))
  return { parts, rest, all: all - parts[STEPS.indexOf('errors')], processor: (used.user + used.system) / 1e6, error }
}

console.log(`${cpus()[0]?.model}, ${threads} threads; ${engine.detail}; W4 in groups of ${flags.group}, ${flags.quality}; seconds\n`)
console.log(`| stage | ${STEPS.join(' | ')} | rest | without errors | processor, all | error | peak GB |`)
console.log('|---|---|---|---|---|---|---|---|---|---|---|')
let total = 0
for (const shape of STAGES) {
  if (flags.stage && flags.stage !== shape.name) continue
  const { parts, rest, all, processor, error } = await compress(shape)
  total += all
  const peak = (process.resourceUsage().maxRSS * 1024) / 1e9
  const figures = [...parts, rest, all, processor].map((seconds) => seconds.toFixed(2))
  console.log(`| ${shape.name} | ${figures.join(' | ')} | ${error.toExponential(3)} | ${peak.toFixed(2)} |`)
  collectGarbage()
}
console.log(`\nFrom Hessians to codes: ${total.toFixed(1)} s`)
await kernels.close()
