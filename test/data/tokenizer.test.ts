import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../src/data/tokenizer.ts'
import { DataError } from '../../src/util/errors.ts'
import golden from './transformers-ids.json' with { type: 'json' }

const MODELS = { tiny: 'test/oracles/tiny', 'docs-llama-4m': 'examples/models/docs-llama-4m' }
const texts: [string, string][] = Object.entries(golden.texts)

describe.each(Object.entries(MODELS))('loadTokenizer of %s', (model, folder) => {
  it.each(texts)('gives the ids of transformers for %s', async (name, text) => {
    const ids: Record<string, number[]> = golden.ids[model as keyof typeof golden.ids]
    expect((await loadTokenizer(folder)).encode(text)).toEqual(ids[name])
  })

  it('decodes what it encoded', async () => {
    const tokenizer = await loadTokenizer(folder)
    for (const [, text] of texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
  })
})

describe('loadTokenizer', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmpress-tokenizer-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('counts added tokens into the vocabulary', async () => {
    // 3 special tokens and the 256 byte tokens.
    expect((await loadTokenizer(MODELS.tiny)).vocabSize).toBe(259)
  })

  it('names the file that is missing', async () => {
    const failure = loadTokenizer(folder)
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(`${join(folder, 'tokenizer.json')} is missing`)
  })

  it.each([
    ['cut off', '{"model": {"type": "BPE", "vocab"', /Cannot read .*tokenizer\.json/],
    ['an array', '[]', /found an array, expected a JSON object/],
    ['without a model', '{"version": "1.0"}', /Cannot build the tokenizer of .*tokenizer\.json/],
    [
      'of an unknown model',
      '{"model": {"type": "Abacus", "vocab": {}}, "added_tokens": []}',
      /Cannot use the tokenizer of .*tokenizer\.json: a model of the type "Abacus" may give other ids/,
    ],
  ])('rejects a tokenizer.json %s', async (_, json, message) => {
    await writeFile(join(folder, 'tokenizer.json'), json)
    const failure = loadTokenizer(folder)
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(message)
    await rm(join(folder, 'tokenizer.json'))
  })
})
