// Perplexity of what recipes make of a model, beside the original and llm-compressor: one table in Markdown.
//   npm run build && node bench/quality.js [--model DIR] [--rows N] [--length N] [--windows N] [--reference FILE] [--dataset NAME]
//                                          [--eval NAME,NAME] [--cases NAME,NAME]
// By default the model that ships, with the rows, windows and cases of llm-compressor's own figures in test/oracles.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { oneshot, perplexity } from '../dist/index.js'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: here('../examples/models/docs-llama-4m') },
    rows: { type: 'string', default: '64' },
    length: { type: 'string', default: '256' },
    windows: { type: 'string', default: '96' },
    reference: { type: 'string', default: here('../test/oracles/quality-docs-llama-4m.json') },
    dataset: { type: 'string', default: 'docs-text' },
    eval: { type: 'string', default: 'docs-text' },
    cases: { type: 'string' },
  },
})

const ignore = ['lm_head']
/**
 * @param {number} bits
 * @param {number} size
 */
const group = (bits, size, symmetric = true) => ({
  config_groups: { group_0: { targets: ['Linear'], weights: { num_bits: bits, strategy: 'group', group_size: size, symmetric } } },
  ignore,
})
const rtn = (/** @type {object} */ options) => [{ QuantizationModifier: { ignore, ...options } }]
const gptq = (/** @type {object} */ options) => (/** @type {string} */ quality) => [{ GPTQModifier: { ignore, ...options, quality } }]
const cache = { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true }

/** Modifiers by case; functions are run at every level of quality. Names are those of the reference's figures. */
const CASES = {
  'rtn-w4a16': rtn({ scheme: 'W4A16' }),
  'rtn-w4a16-asym': rtn({ scheme: 'W4A16_ASYM' }),
  'rtn-w4a16-g32': rtn(group(4, 32)),
  'rtn-w3a16-g64': rtn(group(3, 64)),
  'rtn-w8a16': rtn({ scheme: 'W8A16' }),
  'rtn-w8a8': rtn({ scheme: 'W8A8' }),
  'fp8-dynamic': rtn({ scheme: 'FP8_DYNAMIC' }),
  'fp8-static': rtn({ scheme: 'FP8' }),
  'fp8-block': rtn({ scheme: 'FP8_BLOCK' }),
  'fp8-kv-cache': rtn({ scheme: 'FP8_DYNAMIC', kv_cache_scheme: cache }),
  nvfp4a16: rtn({ scheme: 'NVFP4A16' }),
  nvfp4: rtn({ scheme: 'NVFP4' }),
  mxfp4a16: rtn({ scheme: 'MXFP4A16' }),
  'awq-w4a16-asym': [{ AWQModifier: {} }, ...rtn({ scheme: 'W4A16_ASYM' })],
  'gptq-w4a16': gptq({ scheme: 'W4A16' }),
  'gptq-w4a16-no-actorder': gptq({ scheme: 'W4A16', actorder: null }),
  'gptq-w3a16-g64': gptq(group(3, 64)),
  'gptq-w8a16': gptq({ scheme: 'W8A16' }),
  'smoothquant-gptq-w8a8': (/** @type {string} */ quality) => [
    { SmoothQuantModifier: { smoothing_strength: 0.8 } },
    ...gptq({ scheme: 'W8A8' })(quality),
  ],
  'gptq-nvfp4a16': gptq({ scheme: 'NVFP4A16' }),
  'gptq-mxfp4a16': gptq({ scheme: 'MXFP4A16' }),
  'gptq-fp8-block': gptq({ scheme: 'FP8_BLOCK' }),
  'gptq-fp8-dynamic': gptq({ scheme: 'FP8_DYNAMIC' }),
  // Cases of other models, without figures of the reference at hand.
  'rtn-w4a16-g64': rtn(group(4, 64)),
  'rtn-w4a16-g64-asym': rtn(group(4, 64, false)),
  'awq-w4a16-g64-asym': [{ AWQModifier: {} }, ...rtn(group(4, 64, false))],
  'gptq-w4a16-g64': gptq(group(4, 64)),
  'gptq-w4a16-g64-asym': gptq(group(4, 64, false)),
  'rtn-w3a16-g64-asym': rtn(group(3, 64, false)),
  'gptq-w3a16-g64-asym': gptq(group(3, 64, false)),
}

const reference = await readFile(flags.reference, 'utf8').then(JSON.parse, () => ({}))
const texts = flags.eval.split(',')
const names = flags.cases?.split(',') ?? Object.keys(CASES).filter((name) => name in reference)
const unknown = names.find((name) => !(name in CASES))
if (unknown) throw new Error(`Cannot measure case ${unknown}: expected some of ${Object.keys(CASES).join(', ')}`)

/** @param {string} folder */
async function score(folder) {
  const scores = []
  for (const dataset of texts) {
    const { perplexity: value } = await perplexity(folder, { dataset, window: Number(flags.length), windows: Number(flags.windows) })
    scores.push(value.toFixed(3))
  }
  return scores.join(' / ')
}

/** @param {object[]} modifiers */
async function measure(modifiers) {
  const folder = await mkdtemp(join(tmpdir(), 'llmpress-quality-'))
  try {
    const output = join(folder, 'out')
    await oneshot({
      model: flags.model,
      recipe: { modifiers },
      output,
      dataset: flags.dataset,
      numCalibrationSamples: Number(flags.rows),
      maxSeqLength: Number(flags.length),
    })
    return await score(output)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const original = await score(flags.model)
const calibration = `${flags.rows} rows of ${flags.length} tokens of ${flags.dataset}`
console.log(`${basename(flags.model)}: perplexity on ${texts.join(' / ')}, ${flags.windows} windows; calibrated on ${calibration}\n`)
console.log('| case | original | llm-compressor | fast | balanced | best |\n|---|---|---|---|---|---|')
for (const name of names) {
  const modifiers = /** @type {Record<string, object[] | ((quality: string) => object[])>} */ (CASES)[name]
  const theirs = reference[name]?.perplexity?.toFixed(3) ?? ''
  const ours = []
  if (typeof modifiers === 'function') for (const quality of ['fast', 'balanced', 'best']) ours.push(await measure(modifiers(quality)))
  else ours.push('', await measure(modifiers), '')
  console.log(`| ${name} | ${original} | ${theirs} | ${ours.join(' | ')} |`)
}
