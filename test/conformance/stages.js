// GPTQ of every stage on both engines from the very same inputs, code by code. In whole runs one code in seven differs from the third stage
// on (docs-llama-4m, W4A16) although the errors are the same: see engines.js.
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'

const dist = new URL('../../dist/', import.meta.url)
const { planRun } = /** @type {typeof import('../../src/index.ts')} */ (await import(new URL('index.js', dist).href))
const { openEngine } = /** @type {typeof import('../../src/engine/open.ts')} */ (await import(new URL('engine/open.js', dist).href))
const { openKernels } = /** @type {typeof import('../../src/kernels/open.ts')} */ (await import(new URL('kernels/open.js', dist).href))
const { cutBatches } = /** @type {typeof import('../../src/models/batches.ts')} */ (await import(new URL('models/batches.js', dist).href))
const { readWeight } = /** @type {typeof import('../../src/models/open-model.ts')} */ (
  await import(new URL('models/open-model.js', dist).href)
)
const { Walker } = /** @type {typeof import('../../src/models/walker.ts')} */ (await import(new URL('models/walker.js', dist).href))
const weights = /** @type {typeof import('../../src/models/weights.ts')} */ (await import(new URL('models/weights.js', dist).href))
const { dequantize } = /** @type {typeof import('../../src/schemes/quantize.ts')} */ (
  await import(new URL('schemes/quantize.js', dist).href)
)
const { loadRows } = /** @type {typeof import('../../src/data/load-rows.ts')} */ (await import(new URL('data/load-rows.js', dist).href))
const { loadTokenizer } = /** @type {typeof import('../../src/data/tokenizer.ts')} */ (
  await import(new URL('data/tokenizer.js', dist).href)
)

/**
 * @typedef {import('../../src/models/architecture.ts').LinearSpec} Spec
 * @typedef {import('../../src/engine/engine.ts').EngineName} EngineName
 * @typedef {{ name: string, specs: Spec[], input: Float32Array }} Seen
 */

/**
 * The share of equal codes, the largest relative difference of a linear's error, over all stages of the model's layers, between wasm and
 * another engine, and the largest between an error and what the run reports for it. The inputs are those of some rows of the built-in text.
 * @param {string} model
 * @param {string} recipe
 * @param {EngineName} other
 * @param {{ rows: number, length: number }} data
 */
export async function compareStages(model, recipe, other, data) {
  const plan = await planRun({ model, recipe, output: join(tmpdir(), 'llmpress-nothing-is-written') })
  try {
    await openEngine({ engine: 'wasm' })
    const stages = await stageInputs(plan.source, data)
    const [first, second] = [await compressAll(plan, stages, 'wasm'), await compressAll(plan, stages, other)]
    let equal = 0
    let total = 0
    let largest = 0
    let reported = 0
    for (const [i, { codes, error }] of first.entries()) {
      for (let k = 0; k < codes.length; k++) if (codes[k] === second[i].codes[k]) equal++
      total += codes.length
      largest = Math.max(largest, Math.abs(error / second[i].error - 1))
    }
    for (const { error, told } of [...first, ...second]) reported = Math.max(reported, Math.abs(told / error - 1))
    return { equal: equal / total, largest, reported, linears: first.length }
  } finally {
    await plan.close()
  }
}

/**
 * What every stage of the original model reads.
 * @param {any} source
 * @param {{ rows: number, length: number }} data
 * @returns {Promise<Seen[]>}
 */
async function stageInputs(source, { rows: samples, length }) {
  const { model } = source
  const tokenizer = () => loadTokenizer(source.path)
  const { rows } = await loadRows({ dataset: 'docs-text', tokenizer, samples, length, seed: 0, vocab: model.vocab })
  const [batch] = cutBatches(rows)
  const shared = model.shared(length)
  let hidden = await weights.embeddingRows(source, batch.ids)
  /** @type {Seen[]} */
  const seen = []
  for (let layer = 0; layer < model.layers; layer++) {
    const parameters = await weights.loadParameters(source, model.parameters(layer))
    const walker = await Walker.start(model.walk(layer, hidden, parameters, shared, batch.shape), hidden)
    while (!walker.result) {
      const { stage, input } = walker.request
      const names = stage.linears.map((/** @type {string} */ name) => `${model.layerName(layer)}.${name}`)
      const specs = model.linears(layer).filter((/** @type {Spec} */ { name }) => names.includes(name))
      seen.push({ name: `${model.layerName(layer)} · ${stage.name}`, specs, input: Float32Array.from(input.dataSync()) })
      const outputs = []
      for (const spec of specs) {
        const linear = weights.linearTensors(await readWeight(source, spec), await weights.loadBias(source, spec), spec)
        outputs.push(...weights.applyLinears(input, [linear]))
        weights.disposeLinear(linear)
      }
      await walker.answer(outputs)
    }
    weights.disposeParameters(parameters)
    hidden = walker.result
  }
  tf.dispose([hidden, ...shared])
  return seen
}

/**
 * @param {any} plan
 * @param {Seen[]} stages
 * @param {EngineName} engineName
 * @returns {Promise<{ codes: Int8Array, error: number, told: number }[]>} told: by the run, of some rows of a weight
 */
async function compressAll(plan, stages, engineName) {
  const engine = await openEngine({ engine: engineName })
  const kernels = await openKernels()
  const results = []
  try {
    for (const { name, specs, input } of stages) {
      const targets = new Map()
      for (const spec of specs) {
        const { dtype, scheme } = plan.linears.find((/** @type {{ spec: Spec }} */ linear) => linear.spec.name === spec.name)
        targets.set(
          { ...spec, dtype, scheme, weight: await readWeight(plan.source, spec), bias: null, quantized: null, report: null },
          scheme,
        )
      }
      const linears = [...targets.keys()]
      const { columns } = specs[0]
      const eachInput = async (/** @type {(input: tf.Tensor2D, batch: object) => void} */ visit) => {
        const x = tf.tensor2d(input, [input.length / columns, columns])
        visit(x, { rows: 1, length: x.shape[0], heldBack: false, residual: null, original: null })
        x.dispose()
      }
      await plan.modifiers[0].modifier.apply(
        { name, linears, engine, kernels, signal: new AbortController().signal, hasInputs: true, addsToResidual: false, eachInput },
        targets,
      )
      for (const { weight, quantized, report } of linears) {
        results.push({
          codes: quantized.codes,
          error: await errorOfOutputs(input, weight, dequantize(quantized), columns),
          told: report.error,
        })
      }
    }
    return results
  } finally {
    await kernels.close()
  }
}

/**
 * The squared error of a linear's outputs relative to the outputs, by all of them.
 * @param {Float32Array} input [tokens, columns]
 * @param {Float32Array} weight [rows, columns]
 * @param {Float32Array} values what stands for the weight
 * @param {number} columns
 */
async function errorOfOutputs(input, weight, values, columns) {
  const lost = weight.map((value, i) => value - values[i])
  return (await squaredOutputs(input, lost, columns)) / (await squaredOutputs(input, weight, columns))
}

/**
 * @param {Float32Array} input
 * @param {Float32Array} weight
 * @param {number} columns
 */
async function squaredOutputs(input, weight, columns) {
  const outputs = tf.tidy(() => {
    const x = tf.tensor2d(input, [input.length / columns, columns])
    return tf.matMul(x, tf.tensor2d(weight, [weight.length / columns, columns]), false, true)
  })
  const values = /** @type {Float32Array} */ (await outputs.data())
  outputs.dispose()
  // In float64: of millions of float32 values a backend's sum can be off by some thousandths.
  return values.reduce((sum, value) => sum + value * value, 0)
}
