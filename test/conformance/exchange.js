// Checks GPTQ and AWQ checkpoints against GPTQModel, loaded by itself and through transformers, on the CPU: tools/conformance-exchange.sh calls it
// with CONFORMANCE_PYTHON set. One line per check, `ok ...` or `not ok ...`.
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { dumpTokenLogits } from './logits.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { convert, oneshot } = /** @type {typeof import('../../src/index.ts')} */ (await import(join(ROOT, 'dist', 'index.js')))
const { allLinears, openModel, readWeight } = /** @type {typeof import('../../src/models/open-model.ts')} */ (
  await import(join(ROOT, 'dist', 'models', 'open-model.js'))
)

const TINY = join(ROOT, 'test', 'oracles', 'tiny')
const DOCS = join(ROOT, 'examples', 'models', 'docs-llama-4m')
/** Biases on q, k and v. */
const QWEN = join(ROOT, 'test', 'oracles', 'architectures', 'qwen2')

/**
 * @param {object} weights
 * @param {string[]} [ignore]
 */
const rtn = (weights, ignore = ['lm_head']) => ({
  QuantizationModifier: { ignore, config_groups: { g: { targets: ['Linear'], weights: { type: 'int', group_size: 32, ...weights } } } },
})

/** @type {[name: string, model: string, format: 'gptq' | 'awq', recipe: object | string][]} */
const CASES = [
  ['gptq-w4', TINY, 'gptq', rtn({ num_bits: 4 })],
  ['gptq-w2', TINY, 'gptq', rtn({ num_bits: 2 })],
  ['gptq-w3-asym', TINY, 'gptq', rtn({ num_bits: 3, symmetric: false })],
  ['gptq-w4-asym', TINY, 'gptq', rtn({ num_bits: 4, symmetric: false })],
  ['gptq-w8-channel', TINY, 'gptq', rtn({ num_bits: 8, group_size: -1 })],
  ['gptq-without-down', TINY, 'gptq', rtn({ num_bits: 4 }, ['lm_head', 're:.*down_proj'])],
  ['gptq-docs', DOCS, 'gptq', 'gptq-w4a16-g64'],
  ['gptq-biases', QWEN, 'gptq', rtn({ num_bits: 4 })],
  ['awq-w4-asym', TINY, 'awq', rtn({ num_bits: 4, symmetric: false })],
  ['awq-w4-sym', TINY, 'awq', rtn({ num_bits: 4 })],
  ['awq-without-down', TINY, 'awq', rtn({ num_bits: 4, symmetric: false }, ['lm_head', 're:.*down_proj'])],
  ['awq-docs', DOCS, 'awq', 'awq-w4a16-asym'],
  ['awq-biases', QWEN, 'awq', rtn({ num_bits: 4, symmetric: false })],
]

/**
 * The weights as llmpress reads them, float32, a file each.
 * @param {string} folder
 */
async function dumpWeights(folder) {
  const source = await openModel(folder)
  await mkdir(join(folder, 'conformance-weights'), { recursive: true })
  for (const linear of allLinears(source.model)) {
    if (!source.compressed.has(linear.name)) continue
    const weight = await readWeight(source, linear)
    await writeFile(join(folder, 'conformance-weights', `${linear.name}.f32`), Buffer.from(weight.buffer))
  }
  await source.close()
}

const work = await mkdtemp(join(tmpdir(), 'llmpress-exchange-'))
try {
  const chosen = CASES.filter(([name]) => process.argv.length < 3 || process.argv.slice(2).includes(name))
  for (const [name, model, format, recipe] of chosen) {
    const output = join(work, name)
    await oneshot({ model, recipe, output, format, engine: 'wasm', numCalibrationSamples: 16, maxSeqLength: 128 })
    // GPTQModel loads no model without a tokenizer.
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(TINY, file), join(output, file), { force: false })
  }
  for (const name of ['gptq-w4-g32-desc-act', 'awq-w4-g32']) {
    if (process.argv.length > 2 && !process.argv.includes(name)) continue
    // Others' files, and what comes of them by way of compressed-tensors.
    await cp(join(ROOT, 'test', 'oracles', 'gptq-awq', name), join(work, name), { recursive: true })
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(TINY, file), join(work, name, file))
    await convert(join(work, name), { format: 'compressed-tensors', output: join(work, `${name}-ct`) })
    await convert(join(work, `${name}-ct`), { format: name.startsWith('awq') ? 'awq' : 'gptq', output: join(work, `${name}-again`) })
    await rm(join(work, `${name}-ct`), { recursive: true })
  }
  for (const name of await readdir(work)) {
    await dumpTokenLogits(join(work, name))
    await dumpWeights(join(work, name))
  }
  const env = { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error', TOKENIZERS_PARALLELISM: 'false' }
  const program = fileURLToPath(new URL('load_exchange.py', import.meta.url))
  const child = spawn(process.env.CONFORMANCE_PYTHON ?? 'python3', ['-W', 'ignore', program, work], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // GPTQModel says much on both: what is no check is shown only when something went wrong.
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    said = (said + text).slice(-4000)
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  let passed = 0
  let failed = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [, not] = /^(not )?ok /.exec(line) ?? [null, null]
    if (not === null) continue
    if (not) failed++
    else passed++
    console.log(line)
  }
  const status = await ended
  if (status !== 0) {
    failed++
    console.log(`not ok load_exchange.py ended with ${status}: ${said}`)
  }
  console.log(`conformance of GPTQ and AWQ: ${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
} finally {
  await rm(work, { recursive: true, force: true })
}
