// Holds bitsandbytes checkpoints against transformers and bitsandbytes on the CPU: they load ours with our logits, and save the same bytes for the same
// weights. conformance.js calls it; by itself: CONFORMANCE_PYTHON=... node test/conformance/bitsandbytes.js [case ...]
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { dumpLogits, dumpTokenLogits } from './logits.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { oneshot, verify } = /** @type {typeof import('../../src/index.ts')} */ (await import(join(ROOT, 'dist', 'index.js')))

const TINY = join(ROOT, 'test', 'oracles', 'tiny')
const DOCS = join(ROOT, 'examples', 'models', 'docs-llama-4m')

/** @type {[name: string, model: string, recipe: object | string][]} */
const CASES = [
  ['tiny-nf4', TINY, { load_in_4bit: true, bnb_4bit_quant_type: 'nf4' }],
  ['tiny-nf4-double', TINY, { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true }],
  ['tiny-fp4', TINY, { load_in_4bit: true, bnb_4bit_quant_storage: 'bfloat16' }],
  ['tiny-fp4-double', TINY, { load_in_4bit: true, bnb_4bit_use_double_quant: true, bnb_4bit_quant_storage: 'float32' }],
  ['tiny-nf4-without-down', TINY, { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', ignore: ['lm_head', 're:.*down_proj'] }],
  ['tiny-int8', TINY, { load_in_8bit: true }],
  ['tiny-int8-low', TINY, { load_in_8bit: true, llm_int8_threshold: 2.5 }],
  ['tiny-int8-skip', TINY, { load_in_8bit: true, llm_int8_threshold: 0, llm_int8_skip_modules: ['lm_head', 'o_proj'] }],
  ['docs-llama-4m-nf4', DOCS, 'nf4'],
  ['docs-llama-4m-fp4', DOCS, { load_in_4bit: true }],
  ['docs-llama-4m-llm-int8', DOCS, 'llm-int8'],
]

/** Families whose modules have other names, biases, Conv1D, or experts that stay as they are; their widths are no multiples of 64, so that blocks run over row ends. Latent attention is left out: bitsandbytes' own CPU kernel fails on its inputs. */
const FAMILIES = ['bloom', 'cohere', 'gemma2', 'gpt2', 'gpt_neox', 'mixtral', 'opt', 'phi3', 'qwen2', 'qwen3_moe', 'stablelm', 'starcoder2']
const ARCHITECTURES = join(ROOT, 'test', 'oracles', 'architectures')
for (const family of FAMILIES) {
  CASES.push([`family-${family}`, join(ARCHITECTURES, family), 'llm-int8'])
  CASES.push([`family-${family}-nf4`, join(ARCHITECTURES, family), 'nf4'])
}

/**
 * @param {string} interpreter
 * @param {(good: boolean, what: string) => void} check
 * @param {readonly string[]} [only]
 */
export async function compareBitsAndBytes(interpreter, check, only = []) {
  const work = await mkdtemp(join(tmpdir(), 'llmpress-bitsandbytes-'))
  try {
    for (const [name, model, recipe] of CASES) {
      if (only.length > 0 && !only.includes(name)) continue
      const output = join(work, name)
      await oneshot({ model, recipe: typeof recipe === 'string' ? recipe : { BitsAndBytesModifier: recipe }, output })
      const { problems } = await verify(output, { against: model })
      check(problems.length === 0, `${name}: written and verified${problems.map((problem) => `; ${problem}`).join('')}`)
      if (name.startsWith('family-')) await dumpTokenLogits(output)
      else await dumpLogits(output, join(ROOT, 'data', 'docs-text', 'eval.txt'))
      await writeFile(join(output, 'conformance-original'), model)
    }
    await loaded(interpreter, work, check)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/**
 * Lets Python check the folders of `work`.
 * @param {string} interpreter
 * @param {string} work
 * @param {(good: boolean, what: string) => void} check
 */
async function loaded(interpreter, work, check) {
  // Means of torch depend on the number of threads where there are more than 32768 blocks.
  const env = {
    ...process.env,
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_VERBOSITY: 'error',
    TOKENIZERS_PARALLELISM: 'false',
    OMP_NUM_THREADS: '1',
  }
  const program = fileURLToPath(new URL('load_bitsandbytes.py', import.meta.url))
  const child = spawn(interpreter, ['-W', 'ignore', program, work], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    said = (said + text).slice(-4000)
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  for await (const line of createInterface({ input: child.stdout })) {
    const [, not, what] = /^(not )?ok (.*)$/.exec(line) ?? []
    if (what) check(!not, what)
  }
  const status = await ended
  if (status !== 0) check(false, `load_bitsandbytes.py ended with ${status}: ${said}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let [passed, failed] = [0, 0]
  const check = (/** @type {boolean} */ good, /** @type {string} */ what) => {
    if (good) passed++
    else failed++
    console.log(`${good ? 'ok' : 'not ok'} ${what}`)
  }
  await compareBitsAndBytes(process.env.CONFORMANCE_PYTHON ?? 'python3', check, process.argv.slice(2))
  console.log(`conformance of bitsandbytes: ${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
}
