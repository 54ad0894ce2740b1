import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test } from 'vitest'
import { type GenerateOptions, generate } from '../../../src/eval/generation/generate.ts'
import { DataError, UserError } from '../../../src/util/errors.ts'
import { useEngine } from '../../engine/engines.ts'

useEngine('wasm')

interface Golden {
  newTokens: number
  results: { prompt: string; promptIds: number[]; ids: number[]; text: string }[]
}

const model = fileURLToPath(new URL('../../../examples/models/docs-llama-4m', import.meta.url))
/** Made by golden.py with transformers in float32. */
const golden: Golden = JSON.parse(await readFile(new URL('./golden.json', import.meta.url), 'utf8'))

const ask = (options: Partial<GenerateOptions>) => generate({ model, engine: 'wasm', threads: 1, ...options })

describe('generate', () => {
  const folders: string[] = []
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
  })
  /** A copy of the model to change. */
  async function copy(change: (folder: string) => Promise<unknown>): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'generate-'))
    folders.push(folder)
    await cp(model, folder, { recursive: true })
    await change(folder)
    return folder
  }

  test.each(golden.results)('greedy text of 64 tokens is that of transformers: $prompt', async ({ prompt, promptIds, ids, text }) => {
    const before = tf.memory().numTensors
    const tokens: string[] = []
    const written = await ask({ prompt, greedy: true, maxNewTokens: golden.newTokens, onToken: (token) => tokens.push(token.text) })
    expect(written.ids).toEqual(ids)
    expect(written.text).toBe(text)
    expect(tokens.join('')).toBe(text)
    expect(written.promptTokens).toBe(promptIds.length)
    expect(tf.memory().numTensors).toBe(before)
  })

  test('a long prompt goes through the engine, and the tokens after it see all of it', async () => {
    const prompt = golden.results.map(({ prompt, text }) => prompt + text).join('\n')
    const whole = await ask({ prompt, greedy: true, maxNewTokens: 12 })
    expect(whole.promptTokens).toBeGreaterThan(200)
    // The same text, its last tokens read one at a time.
    const again = await ask({ prompt: prompt + whole.text, greedy: true, maxNewTokens: 4 })
    const more = await ask({ prompt, greedy: true, maxNewTokens: 16 })
    expect(more.ids.slice(0, 12)).toEqual(whole.ids)
    expect(more.ids.slice(12)).toEqual(again.ids)
  })

  test('draws depend on the seed alone; top-k 1 is greedy', async () => {
    const prompt = 'The compiler'
    const [one, same, other] = [await ask({ prompt, seed: 1 }), await ask({ prompt, seed: 1 }), await ask({ prompt, seed: 2 })]
    expect(one.ids).toEqual(same.ids)
    expect(one.ids).not.toEqual(other.ids)
    expect(one.sampling).toEqual({ greedy: false, temperature: 1, topK: 30, topP: 1, seed: 1 })
    const greedy = await ask({ prompt, greedy: true, maxNewTokens: 10 })
    expect((await ask({ prompt, topK: 1, maxNewTokens: 10 })).ids).toEqual(greedy.ids)
  })

  test('stops at a text, at the limits, at the end that generation_config.json names, and where the model has no more positions', async () => {
    const prompt = 'The compiler'
    const { ids, text } = golden.results[1]
    const stopped = await ask({ prompt, greedy: true, stop: ['warning'] })
    expect(stopped.finish).toBe('stop')
    expect(stopped.text).toBe(text.slice(0, text.indexOf('warning')))
    expect(await ask({ prompt, greedy: true, maxLength: 7 })).toMatchObject({ finish: 'length', newTokens: 5 })
    const ends = await copy((folder) => writeFile(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: [0, ids[2]] })))
    expect(await ask({ model: ends, prompt, greedy: true })).toMatchObject({ finish: 'end', ids: ids.slice(0, 3) })
    const small = await copy(async (folder) => {
      const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))
      await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 9 }))
    })
    expect(await ask({ model: small, prompt, greedy: true })).toMatchObject({ finish: 'context', newTokens: 7 })
    await expect(ask({ model: small, prompt: 'one two three four five six seven eight nine ten' })).rejects.toThrow('9 positions')
  })

  test('writes messages by the chat template, up to where the answer begins', async () => {
    const template =
      '{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}'
    const chatty = await copy((folder) => writeFile(join(folder, 'chat_template.jinja'), template))
    const messages = [{ role: 'user', content: 'Hello' }]
    const { prompt } = await ask({ model: chatty, messages, maxNewTokens: 1 })
    expect(prompt).toBe('<user>Hello\n<assistant>')
    await expect(ask({ messages })).rejects.toThrow(DataError)
  })

  test('refuses what cannot be used, by name', async () => {
    const prompt = 'a'
    const refused: [Partial<GenerateOptions>, string][] = [
      [{}, 'no prompt, expected prompt or messages'],
      [{ prompt: ' ' }, 'for the option prompt, expected a text'],
      [{ prompt, messages: [{ role: 'user', content: 'b' }] }, 'a prompt and messages'],
      [{ prompt, maxLength: 5, maxNewTokens: 5 }, 'maxLength and maxNewTokens'],
      [{ prompt, maxLength: 1 }, 'the prompt has 1, expected fewer'],
      [{ prompt, temperature: 0 }, 'temperature, expected a number above 0'],
      [{ prompt, topP: 1.5 }, 'topP, expected a number above 0, at most 1'],
      [{ prompt, greedy: true, topK: 3 }, 'greedy and topK'],
    ]
    for (const [options, message] of refused) {
      await expect(ask(options), message).rejects.toThrow(message)
      await expect(ask(options)).rejects.toBeInstanceOf(UserError)
    }
    const mute = await copy((folder) => rm(join(folder, 'tokenizer.json')))
    await expect(ask({ model: mute, prompt })).rejects.toThrow('tokenizer.json is missing')
  })

  test('gives up when it is asked to, and leaves no tensors', async () => {
    const before = tf.memory().numTensors
    const controller = new AbortController()
    const asked = ask({ prompt: 'The compiler', signal: controller.signal, onToken: ({ index }) => index === 2 && controller.abort() })
    await expect(asked).rejects.toThrow('aborted')
    expect(tf.memory().numTensors).toBe(before)
  })
})
