import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadTokenizer } from '../../src/data/tokenizer.ts'
import { DataError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

// Made by tokenizers/make_tokenizers.py with transformers 5.17.
const TOKENIZERS = 'test/data/tokenizers'

interface Golden {
  strings: string[]
  configs: Record<string, { family: string; config: object }>
  ids: Record<string, number[][]>
  plain: Record<string, (number[] | null)[]>
}

const golden = JSON.parse(await readFile(join(TOKENIZERS, 'ids.json'), 'utf8')) as Golden

/** A tokenizer's folder as a model has it. `change` alters tokenizer.json. */
async function folderOf(name: string, change: (definition: Record<string, unknown>) => void = () => {}): Promise<string> {
  const { family, config } = golden.configs[name]
  const folder = await temporaryFolder()
  await cp(join(TOKENIZERS, family, 'tokenizer.json'), join(folder, 'tokenizer.json'))
  const definition = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as Record<string, unknown>
  change(definition)
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(definition))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  return folder
}

describe.each(Object.keys(golden.configs))('loadTokenizer of a tokenizer like %s', (name) => {
  test('gives the ids of transformers for 230 awkward strings', async () => {
    const tokenizer = await loadTokenizer(await folderOf(name))
    expect(golden.strings.length).toBeGreaterThanOrEqual(200)
    const wrong = golden.strings.filter((text, i) => JSON.stringify(tokenizer.encode(text)) !== JSON.stringify(golden.ids[name][i]))
    expect(wrong.slice(0, 5)).toEqual([])
  })

  test('gives them without the framing tokens, too', async () => {
    const tokenizer = await loadTokenizer(await folderOf(name))
    const wrong = golden.strings.filter((text, i) => {
      const whole = golden.ids[name][i]
      const plain = tokenizer.encodePlain(text)
      const expected = golden.plain[name][i] ?? whole.slice(whole.length - plain.length)
      return (
        JSON.stringify(plain) !== JSON.stringify(expected) ||
        plain.length + tokenizer.prefix.length + tokenizer.suffix.length !== whole.length
      )
    })
    expect(wrong.slice(0, 5)).toEqual([])
  })
})

describe('loadTokenizer', () => {
  test.each([
    ['gpt2', 0, 0],
    ['qwen2', 0, 0],
    ['llama3', 1, 0],
    ['llama2', 1, 0],
    // The file says so, whatever tokenizer_config.json says.
    ['llama2-bare', 1, 0],
    ['gemma', 1, 0],
  ])('knows what %s puts around a text', async (name, before, after) => {
    const { prefix, suffix } = await loadTokenizer(await folderOf(name))
    expect([prefix.length, suffix.length]).toEqual([before, after])
  })

  test('takes merges over spaces for what they are: the text is then not cut at them', async () => {
    const across = (definition: Record<string, unknown>) => {
      const model = definition.model as { vocab: Record<string, number>; merges: string[][] }
      model.vocab['e▁'] = 5000
      model.merges.unshift(['e', '▁'])
    }
    const tokenizer = await loadTokenizer(await folderOf('gemma', across))
    expect(tokenizer.encodePlain('the end')).toContain(5000)
  })

  test('takes at most a few seconds for a megabyte, whatever its kind', async () => {
    const lines = (await readFile('data/mixed-text/calibration.jsonl', 'utf8')).trimEnd().split('\n')
    const text = lines
      .map((line) => (JSON.parse(line) as { text: string }).text)
      .join('\n\n')
      .slice(0, 250_000)
    for (const name of ['llama2', 'gemma', 'smollm', 'llama3', 'unigram']) {
      const tokenizer = await loadTokenizer(await folderOf(name))
      const { user } = process.cpuUsage()
      tokenizer.encode(text)
      // A quarter of a megabyte; small vocabularies make more tokens. Uncut words took 6 s.
      expect((process.cpuUsage().user - user) / 1e6).toBeLessThan(5)
    }
  })

  test('puts the end of a sequence behind a text where the file says so', async () => {
    const end = {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A' } }, { SpecialToken: { id: '<eos>' } }],
      pair: [],
      special_tokens: {},
    }
    const { prefix, suffix, encode } = await loadTokenizer(
      await folderOf('gemma', (definition) => Object.assign(definition, { post_processor: end })),
    )
    expect([prefix, suffix]).toEqual([[], [1]])
    expect(encode('a').at(-1)).toBe(1)
  })

  test.each([
    ['model.dropout 0.1', { model: { dropout: 0.1 } }],
    ['model.continuing_subword_prefix', { model: { continuing_subword_prefix: '##' } }],
    ['model.end_of_word_suffix', { model: { end_of_word_suffix: '</w>' } }],
    ['model.fuse_unk', { model: { fuse_unk: true, unk_token: '<|endoftext|>' } }],
    ['the added token "<tool>" with single_word', { added_tokens: [{ id: 1, content: '<tool>', single_word: true }] }],
    [
      'pre_tokenizer Split with the behavior MergedWithNext',
      { pre_tokenizer: { type: 'Split', pattern: { String: '-' }, behavior: 'MergedWithNext' } },
    ],
  ])('refuses %s, with which ids would be wrong', async (what, more) => {
    const folder = await folderOf('gpt2', (definition) => {
      for (const [key, value] of Object.entries(more))
        definition[key] = key === 'model' ? { ...(definition.model as object), ...value } : value
    })
    const failure = loadTokenizer(folder)
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(`tokenizer.json: ${what} would give other ids than in Python`)
  })

  test.each([
    ['a model of the type "WordPiece"', { model: { type: 'WordPiece' } }],
    ['a model of the type "WordLevel"', { model: { type: 'WordLevel' } }],
    ['a Unigram model with byte_fallback', { model: { byte_fallback: true } }],
    ['normalizer Precompiled', { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } }],
    ['normalizer Strip with a Unigram model', { normalizer: { type: 'Strip', strip_left: false, strip_right: true } }],
    ['pre_tokenizer ByteLevel with a Unigram model', { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false } }],
    ['pre_tokenizer Metaspace without split', { pre_tokenizer: { type: 'Metaspace', replacement: '▁', split: false } }],
  ])('refuses %s, which is not checked or differs', async (what, more) => {
    const folder = await folderOf('unigram', (definition) => {
      for (const [key, value] of Object.entries(more))
        definition[key] = key === 'model' ? { ...(definition.model as object), ...value } : value
    })
    const failure = loadTokenizer(folder)
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(`tokenizer.json: ${what}`)
  })

  test('refuses Unigram under a class that builds it anew', async () => {
    const folder = await folderOf('unigram')
    await writeFile(join(folder, 'tokenizer_config.json'), '{"tokenizer_class": "XGLMTokenizer"}')
    await expect(loadTokenizer(folder)).rejects.toThrow(/a Unigram model under the class XGLMTokenizer, which builds it anew/)
  })

  test('refuses an added token that the file puts a space before', async () => {
    const tool = [{ id: 1000, content: '<tool>', normalized: true, special: false }]
    const folder = await folderOf('llama2-file', (definition) => Object.assign(definition, { added_tokens: tool }))
    const refusal = /the added token "<tool>", searched for in text with a space before it, would give other ids/
    await expect(loadTokenizer(folder)).rejects.toThrow(refusal)
    const first = await folderOf('unigram', (definition) => Object.assign(definition, { added_tokens: tool }))
    await expect(loadTokenizer(first)).rejects.toThrow(refusal)
  })
})
