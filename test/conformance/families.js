// Every architecture, compressed by rounding alone: transformers loads it and gives the same logits.
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dumpTokenLogits } from './logits.js'

const { oneshot } = /** @type {typeof import('../../src/index.ts')} */ (await import(new URL('../../dist/index.js', import.meta.url).href))

const SCHEMES = {
  w4a16: { scheme: 'W4A16', group_size: 32 },
  fp8: { scheme: 'FP8_DYNAMIC' },
}
/** compressed-tensors has no Conv1D; transformers 5.17 looks for the experts of gpt-oss in one tensor; variants of RoPE are Llamas and Phis. */
const LEFT_OUT = /^gpt2|^gpt_oss|^rope-/
/** transformers 5.17 initializes Falcon's linears by their `weight`, which packed ones have not: it loads no packed Falcon at all. */
const NOT_LOADED = /^falcon.* w4a16$/
/** transformers dequantizes experts to bfloat16, and leaves their inputs alone. */
const EXPERTS_IN_BFLOAT16 = /mixtral|moe|deepseek/

/**
 * Compresses the models of `oracles` into folders of `work`, with logits beside for load.py.
 * @param {string} oracles
 * @param {string} work
 * @param {(good: boolean, what: string) => void} check
 */
export async function compressFamilies(oracles, work, check) {
  for (const family of (await readdir(oracles)).sort()) {
    if (LEFT_OUT.test(family)) continue
    for (const [label, options] of Object.entries(SCHEMES)) {
      if (NOT_LOADED.test(`${family} ${label}`)) continue
      const output = join(work, `family-${family}-${label}`)
      try {
        const recipe = { modifiers: { QuantizationModifier: { ...options, ignore: ['lm_head'] } } }
        await oneshot({ model: join(oracles, family), recipe, output })
        await dumpTokenLogits(output)
        if (EXPERTS_IN_BFLOAT16.test(family)) await writeFile(join(output, 'conformance-bound.json'), '0.05')
      } catch (error) {
        check(false, `${family} ${label}: ${error instanceof Error ? error.message : error}`)
      }
    }
  }
}
