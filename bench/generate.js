// What a checkpoint costs to generate with, beside its float32 form and what recipes make of it: one table in Markdown.
//   npm run build && node bench/generate.js [--model DIR] [--prompt-tokens N] [--tokens N] [--threads N] [--engine E] [--rounds N]
// Each checkpoint gets a process of its own, all of them in turns. Figures are the best of the rounds; of decoding the median step of the best.
import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const dist = (/** @type {string} */ path) => new URL(`../dist/${path}`, import.meta.url).href
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: fileURLToPath(new URL('../examples/models/docs-llama-4m', import.meta.url)) },
    'prompt-tokens': { type: 'string', default: '128' },
    tokens: { type: 'string', default: '64' },
    threads: { type: 'string', default: `${availableParallelism()}` },
    engine: { type: 'string', default: 'auto' },
    rounds: { type: 'string', default: '3' },
    one: { type: 'string' },
  },
})

/**
 * Loads a checkpoint and generates: what the process found, as JSON.
 * @param {string} folder
 */
async function measure(folder) {
  const { openEngine } = await import(dist('engine/open.js'))
  const { openMatrices } = await import(dist('kernels/open.js'))
  const { openModel } = await import(dist('models/open-model.js'))
  const { ResidentModel } = await import(dist('eval/generation/resident-model.js'))
  const { chooseToken } = await import(dist('eval/generation/sample.js'))
  const threads = Number(flags.threads)
  await openEngine({ engine: flags.engine, threads })
  const before = process.memoryUsage.rss()
  const started = performance.now()
  const source = await openModel(folder)
  const matrices = await openMatrices({ threads })
  const model = await ResidentModel.read(source, matrices)
  const load = (performance.now() - started) / 1000
  globalThis.gc?.()
  const rss = process.memoryUsage.rss()
  const count = Number(flags['prompt-tokens'])
  const prompt = Int32Array.from({ length: count }, (_, i) => 3 + ((i * 37) % (source.model.vocab - 3)))
  const sequence = model.begin(1, Math.min(source.model.maxPositions, count + Number(flags.tokens) + 8))
  // The engine's first products take longer.
  await model.begin(1, count).read(prompt)
  const asked = performance.now()
  let logits = await sequence.read(prompt)
  const prefill = count / ((performance.now() - asked) / 1000)
  const steps = []
  for (let i = 0; i < Number(flags.tokens); i++) {
    const at = performance.now()
    logits = await sequence.read(Int32Array.of(chooseToken(logits, { greedy: true, temperature: 1, topK: 0, topP: 1, seed: 0 }, i)))
    if (i >= 4) steps.push(performance.now() - at)
  }
  steps.sort((a, b) => a - b)
  const decode = 1000 / steps[Math.floor(steps.length / 2)]
  const peak = process.resourceUsage().maxRSS * 1024
  model.dispose()
  await matrices.close()
  await source.close()
  console.log(JSON.stringify({ load, rss: rss - before, weights: matrices.bytes, prefill, decode, peak }))
}

/**
 * A copy of a checkpoint with float32 weights.
 * @param {string} from
 * @param {string} to
 */
async function inFloat32(from, to) {
  const { openCheckpoint } = await import(dist('checkpoint/reader.js'))
  const { writeFile } = await import('node:fs/promises')
  await cp(from, to, { recursive: true, filter: (path) => !path.includes('.safetensors') })
  const reader = await openCheckpoint(from)
  /** @type {Record<string, object>} */
  const header = { __metadata__: { format: 'pt' } }
  const parts = []
  let end = 0
  for (const [name, { shape }] of reader.tensors) {
    const values = await reader.readFloats(name)
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] }
    end += values.byteLength
    parts.push(Buffer.from(values.buffer, values.byteOffset, values.byteLength))
  }
  await reader.close()
  const text = JSON.stringify(header)
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(head.length))
  await writeFile(join(to, 'model.safetensors'), Buffer.concat([size, head, ...parts]))
}

/** @param {Record<string, unknown>} weights */
const rounding = (weights) => [
  {
    QuantizationModifier: {
      ignore: ['lm_head'],
      config_groups: { group_0: { targets: ['Linear'], weights: { symmetric: true, ...weights } } },
    },
  },
]

async function compare() {
  const { oneshot } = await import(dist('index.js'))
  const work = await mkdtemp(join(tmpdir(), 'llmpress-generate-'))
  try {
    const at = (/** @type {string} */ name) => join(work, name)
    await inFloat32(flags.model, at('float32'))
    await oneshot({ model: flags.model, recipe: rounding({ num_bits: 8, strategy: 'channel' }), output: at('w8') })
    await oneshot({ model: flags.model, recipe: rounding({ num_bits: 4, strategy: 'group', group_size: 64 }), output: at('w4') })
    await oneshot({ model: flags.model, recipe: 'nf4', output: at('nf4') })
    const cases = [
      ['float32', at('float32')],
      ['as stored', flags.model],
      ['W8A16', at('w8')],
      ['W4A16, groups of 64', at('w4')],
      ['NF4, double quantization', at('nf4')],
    ]
    /** @type {Map<string, Record<string, number>>} */
    const best = new Map()
    for (let round = 0; round < Number(flags.rounds); round++) {
      for (const [name, folder] of cases) {
        const { one: _, model: __, rounds: ___, ...passed } = flags
        const more = Object.entries(passed).flatMap(([key, value]) => [`--${key}`, `${value}`])
        const args = ['--expose-gc', fileURLToPath(import.meta.url), '--one', folder, ...more]
        const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
        if (status !== 0) throw new Error(stderr)
        const found = JSON.parse(stdout.trim().split('\n').pop() ?? '')
        const known = best.get(name) ?? found
        const better = (/** @type {string} */ key, /** @type {(...x: number[]) => number} */ pick) => pick(known[key], found[key])
        const least = Object.fromEntries(['load', 'rss', 'weights', 'peak'].map((key) => [key, better(key, Math.min)]))
        best.set(name, { ...least, prefill: better('prefill', Math.max), decode: better('decode', Math.max) })
      }
    }
    console.log(`${cpus()[0]?.model}, ${flags.threads} threads; prompt of ${flags['prompt-tokens']} tokens, ${flags.tokens} new ones\n`)
    console.log('| checkpoint | load s | RSS after load, MB | weights MB | peak RSS MB | prompt tokens/s | new tokens/s |')
    console.log('|---|---|---|---|---|---|---|')
    const megabytes = (/** @type {number} */ bytes) => (bytes / 1e6).toFixed(0)
    for (const [name, { load, rss, weights, peak, prefill, decode }] of best) {
      const sizes = [rss, weights, peak].map(megabytes).join(' | ')
      console.log(`| ${name} | ${load.toFixed(2)} | ${sizes} | ${prefill.toFixed(0)} | ${decode.toFixed(1)} |`)
    }
  } finally {
    await rm(work, { recursive: true })
  }
}

await (flags.one === undefined ? compare() : measure(flags.one))
