// What llmpress computes with a checkpoint, in files that load.py reads.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const dist = new URL('../../dist/', import.meta.url)
const { forward } = /** @type {typeof import('../../src/eval/forward.ts')} */ (await import(new URL('eval/forward.js', dist).href))
const { allLinears, openModel, readWeight } = /** @type {typeof import('../../src/models/open-model.ts')} */ (
  await import(new URL('models/open-model.js', dist).href)
)
const { openEngine } = /** @type {typeof import('../../src/engine/open.ts')} */ (await import(new URL('engine/open.js', dist).href))
const { loadRows } = /** @type {typeof import('../../src/data/load-rows.ts')} */ (await import(new URL('data/load-rows.js', dist).href))
const { loadTokenizer } = /** @type {typeof import('../../src/data/tokenizer.ts')} */ (
  await import(new URL('data/tokenizer.js', dist).href)
)

const ROWS = 2
const LENGTH = 96
const SHORT = 24

/**
 * Writes into the checkpoint's folder: conformance-rows.json, the token rows; conformance-logits.f32, their logits; where inputs are
 * quantized at run time conformance-weights.f32, the logits without that; and conformance-dequantized/<linear>.f32 for formats whose
 * weights compressed-tensors gives back in bfloat16 alone (NVFP4, MX).
 * @param {string} folder
 * @param {string} text
 */
export async function dumpLogits(folder, text) {
  await dump(folder, async (/** @type {number} */ vocab) => {
    const loaded = { dataset: text, tokenizer: () => loadTokenizer(folder), samples: ROWS, length: LENGTH, seed: 0, vocab }
    return (await loadRows(loaded)).rows
  })
}

/**
 * The same for a model without a tokenizer, on rows of mixed tokens.
 * @param {string} folder
 */
export async function dumpTokenLogits(folder) {
  await dump(folder, async (/** @type {number} */ vocab) =>
    Array.from({ length: ROWS }, (_, row) => Int32Array.from({ length: SHORT }, (_, i) => 3 + ((i * 37 + row * 11) % (vocab - 3)))),
  )
}

/**
 * @param {string} folder
 * @param {(vocab: number) => Promise<Int32Array[]>} rowsFor
 */
async function dump(folder, rowsFor) {
  await openEngine({ engine: 'wasm' })
  const source = await openModel(folder)
  try {
    const rows = await rowsFor(source.model.vocab)
    await writeFile(join(folder, 'conformance-rows.json'), JSON.stringify(rows.map((/** @type {Int32Array} */ row) => [...row])))
    await writeFile(join(folder, 'conformance-logits.f32'), await logits(source, rows))
    const stored = [...source.compressed]
    if (stored.some(([, { scheme }]) => scheme.input_activations)) {
      const plain = new Map(stored.map(([name, { scheme, layout }]) => [name, { layout, scheme: { ...scheme, input_activations: null } }]))
      const config = {
        ...source.config,
        quantization_config: { .../** @type {object} */ (source.config.quantization_config), kv_cache_scheme: undefined },
      }
      await writeFile(join(folder, 'conformance-weights.f32'), await logits({ ...source, config, compressed: plain }, rows))
    }
    if (stored.some(([, { scheme }]) => scheme.format?.startsWith('nvfp4') || scheme.format?.startsWith('mxfp'))) {
      await mkdir(join(folder, 'conformance-dequantized'))
      for (const linear of allLinears(source.model)) {
        if (!source.compressed.has(linear.name)) continue
        const weight = await readWeight(source, linear)
        await writeFile(join(folder, 'conformance-dequantized', `${linear.name}.f32`), Buffer.from(weight.buffer))
      }
    }
  } finally {
    await source.close()
  }
}

/**
 * The logits of all tokens, float32, on the engine that is open.
 * @param {import('../../src/models/open-model.ts').OpenModel} source
 * @param {Int32Array[]} rows
 * @returns {Promise<Buffer>}
 */
export async function logits(source, rows) {
  /** @type {Buffer[]} */
  const parts = []
  await forward(source, rows, {
    onLogits: async (tensor) => {
      parts.push(Buffer.from(Float32Array.from(await tensor.data()).buffer))
    },
  })
  return Buffer.concat(parts)
}
