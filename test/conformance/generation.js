// Greedy texts of 64 tokens, ours beside those of transformers in float32.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const { generate } = /** @type {typeof import('../../src/index.ts')} */ (await import(new URL('../../dist/index.js', import.meta.url).href))
const PROGRAM = fileURLToPath(new URL('../eval/generation/golden.py', import.meta.url))

/**
 * Compares what both write after some prompts.
 * @param {Record<string, string>} models folders by name
 * @param {string} python
 * @param {(good: boolean, what: string) => void} check
 */
export async function compareGeneration(models, python, check) {
  for (const [name, model] of Object.entries(models)) {
    const { status, stdout, stderr } = spawnSync(python, ['-W', 'ignore', PROGRAM, model], {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
      env: { ...process.env, HF_HUB_OFFLINE: '1', HF_HUB_DISABLE_PROGRESS_BARS: '1' },
    })
    if (status !== 0) {
      check(false, `generate, ${name}: transformers ended with ${status}: ${stderr.trim().split('\n').pop()}`)
      continue
    }
    const { newTokens, results } = JSON.parse(stdout)
    for (const { prompt, ids, text } of results) {
      const written = await generate({ model, prompt, greedy: true, maxNewTokens: newTokens })
      const parts = written.ids.findIndex((/** @type {number} */ id, /** @type {number} */ i) => id !== ids[i])
      const where = parts < 0 ? '' : `, parts at token ${parts}`
      check(parts < 0 && written.ids.length === ids.length && written.text === text, `generate, ${name}, ${JSON.stringify(prompt)}${where}`)
    }
  }
}
