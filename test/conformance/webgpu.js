// Holds the webgpu engine against wasm on the adapter that is there, a software one where conformance.js calls it: products and every kind of
// tensor program through models of a few kilobytes, GPTQ of each stage code by code, a whole run. Lines as conformance.js has them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import { logits } from './logits.js'
import { compareStages } from './stages.js'

const dist = new URL('../../dist/', import.meta.url)
const { oneshot } = /** @type {typeof import('../../src/index.ts')} */ (await import(new URL('index.js', dist).href))
const { openEngine } = /** @type {typeof import('../../src/engine/open.ts')} */ (await import(new URL('engine/open.js', dist).href))
const { matMul } = /** @type {typeof import('../../src/engine/mat-mul.ts')} */ (await import(new URL('engine/mat-mul.js', dist).href))
const { gramBands } = /** @type {typeof import('../../src/engine/gram.ts')} */ (await import(new URL('engine/gram.js', dist).href))
const { releaseMemory, restoreMemory } = /** @type {typeof import('../../src/engine/tensor-memory.ts')} */ (
  await import(new URL('engine/tensor-memory.js', dist).href)
)
const { openModel } = /** @type {typeof import('../../src/models/open-model.ts')} */ (
  await import(new URL('models/open-model.js', dist).href)
)

const ORACLES = fileURLToPath(new URL('../oracles/', import.meta.url))
const TINY = join(ORACLES, 'tiny')
const RECIPE = fileURLToPath(new URL('../../recipes/gptq-w4a16.yaml', import.meta.url))
const DATA = { rows: 4, length: 32 }

/** @typedef {import('../../src/engine/engine.ts').EngineName} EngineName */

/**
 * @param {boolean} good
 * @param {string} what
 */
function check(good, what) {
  console.log(`${good ? 'ok' : 'not ok'} webgpu: ${what}`)
}

/**
 * The values of tensors that `work` makes, on an engine.
 * @param {EngineName} engine
 * @param {() => tf.Tensor[]} work
 */
async function valuesOn(engine, work) {
  await openEngine({ engine })
  const tensors = tf.tidy(work)
  const values = await Promise.all(tensors.map((tensor) => tensor.data()))
  tf.dispose(tensors)
  return values
}

/**
 * max |a - b| relative to max |b|.
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b
 */
function difference(a, b) {
  let [worst, largest] = [a.length === b.length ? 0 : Number.POSITIVE_INFINITY, 0]
  for (let i = 0; i < b.length; i++) {
    // NaN is as far as can be.
    worst = Math.max(worst, Math.abs(a[i] - b[i]) || (a[i] === b[i] ? 0 : Number.POSITIVE_INFINITY))
    largest = Math.max(largest, Math.abs(b[i]))
  }
  return worst / largest
}

/** Every form in which the code multiplies, at sizes that no tile divides. */
function products() {
  const random = (/** @type {number[]} */ shape, /** @type {number} */ seed) => tf.randomUniform(shape, -1, 1, 'float32', seed)
  const x = /** @type {tf.Tensor2D} */ (random([45, 390], 1))
  return [
    ...[false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) =>
        matMul(random(transposeA ? [41, 23] : [23, 41], 2), random(transposeB ? [17, 41] : [41, 17], 3), transposeA, transposeB),
      ),
    ),
    matMul(random([2, 3, 7, 19], 4), random([2, 3, 19, 5], 5)),
    matMul(random([3, 4, 19], 6), random([5, 19], 7), false, true),
    // Few outputs over a long sum: where tfjs by itself would add parts in no fixed order.
    matMul(random([24, 2100], 8), random([2100, 24], 9)),
    matMul(x, x, true),
    ...gramBands(x),
  ]
}

async function compareProducts() {
  const wanted = await valuesOn('wasm', products)
  const [found, again] = [await valuesOn('webgpu', products), await valuesOn('webgpu', products)]
  const worst = Math.max(...found.map((values, i) => difference(values, wanted[i])))
  check(worst < 1e-5, `products agree with wasm to 1e-5 (${worst.toExponential(1)})`)
  check(
    found.every((values, i) => values.every((value, k) => Object.is(value, again[i][k]))),
    'products are the same to the bit when repeated',
  )
}

/** Families that between them use every tensor program, and a checkpoint whose cache is quantized. */
const MODELS = ['gpt_oss', 'deepseek_v3', 'llama4', 'gemma2', 'gpt2', 'falcon-alibi'].map((name) => join('architectures', name))

async function compareForward() {
  for (const name of [...MODELS, join('checkpoints', 'fp8-kv-cache')]) {
    const source = await openModel(join(ORACLES, name))
    const tokens = (/** @type {number} */ row) =>
      Int32Array.from({ length: 12 }, (_, i) => 3 + ((i * 37 + row * 11) % (source.model.vocab - 3)))
    const found = []
    for (const engine of /** @type {const} */ (['wasm', 'webgpu'])) {
      await openEngine({ engine })
      found.push(new Float32Array((await logits(source, [tokens(0), tokens(1)])).buffer))
    }
    await source.close()
    const worst = difference(found[1], found[0])
    check(worst < 1e-4, `${name}: logits agree with wasm to 1e-4 (${worst.toExponential(1)})`)
  }
}

/** Runs that between them transform, aim at the original model, pull every lever, and count what experts get. */
const RUNS = {
  'rope-linear': {
    SmoothQuantModifier: { smoothing_strength: 0.5 },
    GPTQModifier: { scheme: 'W8A8', quality: 'best', ignore: ['lm_head'] },
  },
  'qwen3_moe-plain': { GPTQModifier: { scheme: 'W8A8', quality: 'fast', ignore: ['lm_head'] } },
}

/** @param {string} work */
async function compareRuns(work) {
  // Whole rows of 8 tokens, one of them held back.
  const dataset = Array.from({ length: 16 }, (_, row) => Int32Array.from({ length: 8 }, (_, i) => 3 + ((row * row + i * 37) % 90)))
  for (const [name, modifiers] of Object.entries(RUNS)) {
    const records = []
    for (const engine of /** @type {const} */ (['wasm', 'webgpu'])) {
      const before = tf.memory().numTensors
      const run = { model: join(ORACLES, 'architectures', name), recipe: { modifiers }, dataset, engine }
      records.push(await oneshot({ ...run, output: join(work, `${name}-${engine}`) }))
      const left = tf.memory().numTensors - before
      if (engine === 'webgpu') check(left === 0, `${name}: a whole run leaves no tensor behind (${left})`)
    }
    const [wasm, webgpu] = records
    const ratios = webgpu.linears.map(
      (/** @type {{ error: number }} */ { error }, /** @type {number} */ i) => error / wasm.linears[i].error,
    )
    const mean = Math.expm1(
      ratios.reduce((/** @type {number} */ sum, /** @type {number} */ ratio) => sum + Math.log(ratio), 0) / ratios.length,
    )
    check(
      Math.abs(mean) <= 0.005,
      `${name}: ${ratios.length} linears of a whole run, errors within 0.5 % of wasm's on average (${(100 * mean).toFixed(3)} %)`,
    )
    if (wasm.experts) {
      const same = JSON.stringify(wasm.experts) === JSON.stringify(webgpu.experts)
      check(same, `${name}: as many tokens for each expert as on wasm`)
    }
  }
}

async function compareCodes() {
  const { equal, largest, linears } = await compareStages(TINY, RECIPE, 'webgpu', DATA)
  const share = `at least 99.5 % the same codes (${(100 * equal).toFixed(3)} %), errors within 0.5 % (${(100 * largest).toFixed(3)} %)`
  check(equal >= 0.995 && largest <= 0.005, `gptq-w4a16: ${linears} linears with the same inputs as on wasm: ${share}`)
}

/** More than the device allows in one piece is an error, not zeros. */
async function overflow() {
  await openEngine({ engine: 'webgpu' })
  const { device } = /** @type {{ device: { limits: { maxBufferSize: number } } }} */ (/** @type {unknown} */ (tf.backend()))
  const sum = tf.tidy(() => tf.sum(tf.fill([device.limits.maxBufferSize / 4 + 1024], 1)))
  const said = await sum.data().then(
    () => 'nothing',
    (/** @type {Error} */ { message }) => message,
  )
  sum.dispose()
  check(said.startsWith('Cannot compute on '), `a tensor past the device's limits is an error (${said.slice(0, 100)})`)
  const [after] = await valuesOn('webgpu', () => [tf.sum(tf.ones([2000]))])
  check(after[0] === 2000, 'and the next computation is sound')
}

/** A tensor whose memory is given up while work with it still waits in the queue. */
async function park() {
  await openEngine({ engine: 'webgpu' })
  const x = tf.tidy(() => tf.mul(tf.ones([2000]), tf.fill([2000], 3)))
  const used = tf.tidy(() => tf.sum(x))
  releaseMemory(x)
  restoreMemory(x, new Float32Array(2000).fill(5))
  const again = tf.tidy(() => tf.sum(x))
  const [before, after] = [(await used.data())[0], (await again.data())[0]]
  tf.dispose([x, used, again])
  check(before === 6000 && after === 10000, `memory can be given up and taken back (${before}, ${after})`)
}

const work = await mkdtemp(join(tmpdir(), 'llmpress-webgpu-'))
try {
  const { rejected } = await openEngine({ engine: 'auto' })
  const why = rejected.find((/** @type {{ engine: string }} */ { engine }) => engine === 'webgpu')?.why ?? 'it was taken'
  check(/computes on the CPU/.test(why), `auto passes over a software adapter (${why})`)
  const { detail } = await openEngine({ engine: 'webgpu' })
  console.error(detail)
  await compareProducts()
  await compareForward()
  await compareCodes()
  await compareRuns(work)
  await overflow()
  await park()
} finally {
  await rm(work, { recursive: true, force: true })
}
// What ends the process is that nothing is left to do.
process.on('exit', (code) => check(code === 0, 'the process ends by itself'))
