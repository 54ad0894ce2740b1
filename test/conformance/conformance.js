// Checks llmpress against transformers and compressed-tensors, and its engines against each other: bash tools/conformance.sh calls it with
// CONFORMANCE_PYTHON, CONFORMANCE_VULKAN and CONFORMANCE_CHROMIUM set. One line per check, `ok ...` or `not ok ...`; ends with `conformance: N passed, M failed`.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { compareBitsAndBytes } from './bitsandbytes.js'
import { compareEngines } from './engines.js'
import { compareEvaluation } from './evaluate.js'
import { compressFamilies } from './families.js'
import { compareGeneration } from './generation.js'
import { dumpLogits } from './logits.js'
import { compareStages } from './stages.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = join(ROOT, 'dist', 'cli', 'main.js')
const { verify } = /** @type {typeof import('../../src/index.ts')} */ (await import(join(ROOT, 'dist', 'index.js')))

// 32 rows of 256 tokens: enough for a well-conditioned Hessian of 768 columns; the tiny model has 256 positions.
const ROWS = ['--num-calibration-samples', '32', '--max-seq-length', '256']
const MODELS = { tiny: join(ROOT, 'test', 'oracles', 'tiny'), 'docs-llama-4m': join(ROOT, 'examples', 'models', 'docs-llama-4m') }
/** Presets that no shipped recipe has. */
const PRESETS = ['FP8', 'FP8_BLOCK', 'W4A8', 'W4AFP8', 'NVFP4', 'NVFP4A16', 'MXFP4', 'MXFP4A16', 'MXFP8']
/** Recipes that write bitsandbytes checkpoints. */
const BITSANDBYTES = ['nf4', 'llm-int8']
/** Beyond the shipped recipes: presets, the best quality, a quantized cache, a head that has to be untied, and two schemes in one model. */
const RECIPES = {
  ...Object.fromEntries(
    PRESETS.map((scheme) => [`rtn-${scheme.toLowerCase()}`, `QuantizationModifier: {scheme: ${scheme}, ignore: [lm_head]}\n`]),
  ),
  'gptq-fp8-block': 'GPTQModifier: {scheme: FP8_BLOCK, ignore: [lm_head]}\n',
  'gptq-best': 'GPTQModifier: {scheme: W4A16, group_size: 64, quality: best, ignore: [lm_head]}\n',
  'fp8-kv-cache': `QuantizationModifier:
  scheme: FP8_DYNAMIC
  ignore: [lm_head]
  kv_cache_scheme: {num_bits: 8, type: float, strategy: tensor, dynamic: false, symmetric: true}
`,
  'with-head': 'GPTQModifier: {scheme: W8A16}\n',
  mixed: `QuantizationModifier:
  ignore: [lm_head]
  config_groups:
    attention: {targets: ['re:.*self_attn.*'], weights: {num_bits: 8, type: int, symmetric: true, strategy: channel}}
    mlp: {targets: ['re:.*mlp.*'], weights: {num_bits: 4, type: int, symmetric: false, strategy: group, group_size: 64}}
`,
}

let passed = 0
let failed = 0

/**
 * @param {boolean} good
 * @param {string} what
 */
function check(good, what) {
  if (good) passed++
  else failed++
  console.log(`${good ? 'ok' : 'not ok'} ${what}`)
}

/**
 * Compresses through the command line; null where that fails.
 * @param {string} model
 * @param {string} recipe
 * @param {string} output
 * @param {string} engine
 */
function compress(model, recipe, output, engine) {
  const args = ['oneshot', model, '--recipe', recipe, '--output', output, '--engine', engine, '--quiet', '--json', ...ROWS]
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (status === 0) return JSON.parse(stdout.trim().split('\n').pop() ?? '').record
  check(false, `llmpress ${args.join(' ')} ended with ${status}: ${stderr.trim().split('\n').pop()}`)
  return null
}

/**
 * Lets Python check the folders of `work`.
 * @param {string} work
 */
async function python(work) {
  const env = {
    ...process.env,
    HF_HUB_OFFLINE: '1',
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    TRANSFORMERS_VERBOSITY: 'error',
    TOKENIZERS_PARALLELISM: 'false',
  }
  const program = fileURLToPath(new URL('load.py', import.meta.url))
  await checksOf(process.env.CONFORMANCE_PYTHON ?? 'python3', ['-W', 'ignore', program, work], env)
}

/**
 * Holds the webgpu engine against wasm, on the software adapter that CONFORMANCE_VULKAN (the folder of its driver and of the loader) has. Its
 * packages go to a cache folder of their own, so that other runs on this machine do not look for a GPU.
 */
async function webgpu() {
  const driver = process.env.CONFORMANCE_VULKAN ?? ''
  const env = {
    ...process.env,
    LLMPRESS_CACHE: process.env.CONFORMANCE_CACHE ?? work,
    LD_LIBRARY_PATH: driver,
    VK_DRIVER_FILES: join(driver, 'vk_swiftshader_icd.json'),
  }
  const install = spawnSync(process.execPath, [CLI, 'native', 'install', '--webgpu'], { encoding: 'utf8', env })
  check(install.status === 0, `llmpress native install --webgpu: ${(install.stdout || install.stderr).trim().split('\n').pop()}`)
  check(driver !== '', 'there is a software adapter for the webgpu engine')
  if (install.status !== 0 || driver === '') return
  await checksOf(process.execPath, [fileURLToPath(new URL('webgpu.js', import.meta.url))], env)
}

/** Opens reports in CONFORMANCE_CHROMIUM, and the command line in a terminal. */
async function report() {
  check(Boolean(process.env.CONFORMANCE_CHROMIUM), 'there is a Chromium for the reports')
  if (!process.env.CONFORMANCE_CHROMIUM) return
  await checksOf(process.execPath, [fileURLToPath(new URL('report.js', import.meta.url))], { ...process.env, CONFORMANCE_WORK: work })
}

/**
 * Runs a program whose lines are checks too.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
async function checksOf(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  // compressed-tensors draws progress bars whatever the environment says: stderr is shown only when something went wrong.
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    errors = (errors + text).slice(-4000)
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  for await (const line of createInterface({ input: child.stdout })) {
    const [, not, what] = /^(not )?ok (.*)$/.exec(line) ?? []
    if (what) check(!not, what)
    else console.log(line)
  }
  const code = await ended
  if (code !== 0) check(false, `${args.find((arg) => /\.(js|py)$/.test(arg))} ended with ${code}: ${errors}`)
}

const work = await mkdtemp(join(tmpdir(), 'llmpress-conformance-'))
try {
  const install = spawnSync(process.execPath, [CLI, 'native', 'install'], { encoding: 'utf8' })
  check(install.status === 0, `llmpress native install: ${(install.stdout || install.stderr).trim().split('\n').pop()}`)
  const engine = install.status === 0 ? 'native' : 'wasm'

  const recipes = Object.fromEntries(
    (await readdir(join(ROOT, 'recipes'))).map((file) => [file.replace('.yaml', ''), join(ROOT, 'recipes', file)]),
  )
  for (const [name, text] of Object.entries(RECIPES)) {
    recipes[name] = join(work, `${name}.yaml`)
    await writeFile(recipes[name], text)
  }
  for (const [modelName, model] of Object.entries(MODELS)) {
    for (const [recipeName, recipe] of Object.entries(recipes)) {
      // Compression types repeat what other recipes do, and presets differ in their format only: one model is enough.
      if (modelName !== 'tiny' && (/^[A-Z]/.test(recipeName) || PRESETS.includes(recipeName.replace('rtn-', '').toUpperCase()))) continue
      // Loaders of compressed-tensors do not know these: compareBitsAndBytes has them.
      if (BITSANDBYTES.includes(recipeName)) continue
      const name = `${modelName}-${recipeName}`
      const output = join(work, name)
      if (!compress(model, recipe, output, engine)) continue
      const { problems } = await verify(output, { against: model })
      check(
        problems.length === 0,
        `${name}: compressed on ${engine} and verified${problems.map((/** @type {string} */ problem) => `; ${problem}`).join('')}`,
      )
      await dumpLogits(output, join(ROOT, 'data', 'docs-text', 'eval.txt'))
    }
  }
  await compressFamilies(join(ROOT, 'test', 'oracles', 'architectures'), work, check)
  await python(work)
  const interpreter = process.env.CONFORMANCE_PYTHON ?? 'python3'
  await compareBitsAndBytes(interpreter, check)
  // Others by CONFORMANCE_GENERATE, folders separated by colons: SmolLM2-135M writes the same too.
  const others = (process.env.CONFORMANCE_GENERATE ?? '').split(':').filter((folder) => folder !== '')
  const generating = { 'docs-llama-4m': MODELS['docs-llama-4m'], ...Object.fromEntries(others.map((folder) => [folder, folder])) }
  await compareGeneration(generating, interpreter, check)
  await compareEvaluation(MODELS['docs-llama-4m'], interpreter, work, [0, 2, 5], check)
  // A real model where one is at hand: a folder of a few hundred megabytes at most, its texts take minutes.
  const { CONFORMANCE_MODEL: real } = process.env
  if (real) await compareEvaluation(real, interpreter, work, [0, 2], check)
  await webgpu()
  await report()

  const flags = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  if (engine === 'native' && /\b(amx_bf16|avx512_bf16)\b/.test(flags)) {
    const found = ['1', '2', '4'].map((threads) => {
      const script = join(ROOT, 'test', 'conformance', 'precision.js')
      return JSON.parse(spawnSync(process.execPath, [script, threads], { encoding: 'utf8' }).stdout || '{}')
    })
    const [{ exact, quick, linear, hash, left }] = found
    const isRounded = (/** @type {number} */ error) => error > 1e-5 && error < 8e-3
    // With AVX512_BF16 alone sums over tokens stay float32.
    const quickIsRight = /\bamx_bf16\b/.test(flags) ? isRounded(quick) : quick < 1e-6
    const told = `linears off by ${linear} at most, other sums by ${quick}, those that stay float32 by ${exact}`
    check(exact < 1e-6 && quickIsRight && isRounded(linear), `bfloat16 products: ${told}`)
    check(left < 2e5, `bfloat16 products leave ${left} bytes each behind`)
    check(hash && found.every((other) => other.hash === hash), 'bfloat16 products are the same for 1, 2 and 4 threads')
  }
  if (engine === 'native') {
    for (const [modelName, model] of Object.entries(MODELS)) {
      for (const recipeName of ['rtn-w4a16', 'rtn-w8a8', 'fp8-dynamic', 'gptq-w4a16', 'gptq-w8a16']) {
        const name = `${modelName}-${recipeName}`
        const onWasm = join(work, `${name}-wasm`)
        if (!compress(model, recipes[recipeName], onWasm, 'wasm')) continue
        const { good, what } = await compareEngines(onWasm, join(work, name), recipeName.startsWith('gptq'))
        check(good, `${name}: ${what}`)
      }
      for (const recipeName of ['gptq-w4a16', 'gptq-w8a16']) {
        const { equal, largest, reported, linears } = await compareStages(model, recipes[recipeName], 'native', { rows: 8, length: 256 })
        const name = `${modelName}-${recipeName}: ${linears} linears with the same inputs on wasm and native`
        const share = `at least 99.5 % the same codes (${(100 * equal).toFixed(3)} %), errors within 0.5 % (${(100 * largest).toFixed(3)} %)`
        check(equal >= 0.995 && largest <= 0.005, `${name}: ${share}`)
        check(reported <= 0.15, `${name}: what is reported is within 15 % of the error of all outputs (${(100 * reported).toFixed(3)} %)`)
      }
    }
  }
} finally {
  await rm(work, { recursive: true, force: true })
}
console.log(`conformance: ${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
