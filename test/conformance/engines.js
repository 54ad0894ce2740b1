// Whole runs on both engines. Plain rounding is the same to the bit. GPTQ's inputs are sums that TensorFlow and wasm order differently, and
// one code that falls to the other side changes what all later stages see: only the errors can agree. stages.js compares code by code.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const dist = new URL('../../dist/', import.meta.url)
const { allLinears, openModel, readCodes } = /** @type {typeof import('../../src/models/open-model.ts')} */ (
  await import(new URL('models/open-model.js', dist).href)
)

/**
 * Compares two checkpoints of one model and recipe.
 * @param {string} first
 * @param {string} second
 * @param {boolean} isGptq
 * @returns {Promise<{ good: boolean, what: string }>}
 */
export async function compareEngines(first, second, isGptq) {
  const [a, b] = [await codesOf(first), await codesOf(second)]
  let equal = 0
  let total = 0
  for (const [name, codes] of a) {
    const other = b.get(name)
    for (let i = 0; i < codes.length; i++) if (codes[i] === other?.[i]) equal++
    total += codes.length
  }
  const share = `${((100 * equal) / total).toFixed(4)} % of ${total} codes`
  if (!isGptq) return { good: equal === total && a.size === b.size, what: `wasm and native give the same codes (${share})` }
  const [errorsA, errorsB] = [await errorsOf(first), await errorsOf(second)]
  const mean = errorsA.reduce((sum, error, i) => sum + Math.log(error / errorsB[i]), 0) / errorsA.length
  const off = `${(100 * Math.expm1(mean)).toFixed(3)} %`
  // Those of weights of many rows are estimates, each some percent off: 0.4 % on average between machines.
  return {
    good: Math.abs(mean) <= 0.01,
    what: `whole runs on wasm and native: errors within 1 % on average (${off}; ${share} are equal)`,
  }
}

/**
 * @param {string} folder
 * @returns {Promise<Map<string, Int8Array | Uint8Array>>}
 */
async function codesOf(folder) {
  const source = await openModel(folder)
  try {
    const codes = new Map()
    for (const [name, stored] of source.compressed) {
      if (stored.scheme.weights) {
        codes.set(name, (await readCodes(source.reader, stored, stored.scheme.weights, linearOf(source.model, name))).codes)
      }
    }
    return codes
  } finally {
    await source.close()
  }
}

/**
 * @param {import('../../src/models/architecture.ts').Model} model
 * @param {string} name
 */
function linearOf(model, name) {
  const linear = allLinears(model).find((spec) => spec.name === name)
  if (!linear) throw new RangeError(`Cannot compare ${name}: the model has no such linear`)
  return linear
}

/**
 * @param {string} folder
 * @returns {Promise<number[]>}
 */
async function errorsOf(folder) {
  const { linears } = JSON.parse(await readFile(join(folder, 'llmpress-report.json'), 'utf8'))
  return linears.map((/** @type {{ error: number }} */ { error }) => error)
}
