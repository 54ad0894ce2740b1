import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { splitFiles } from '../../src/data/hub-dataset.ts'
import { loadRows, type RowsRequest } from '../../src/data/load-rows.ts'
import type { Tokenizer } from '../../src/data/tokenizer.ts'
import { DataError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { type FakeHub, startFakeHub } from '../hub/fake-hub.ts'

let hub: FakeHub
const file = (name: string) => readFile(join('test/data/files', name))

const units = (text: string) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
const characters: Tokenizer = {
  encode: units,
  encodePlain: units,
  decode: (ids) => String.fromCharCode(...ids),
  vocabSize: 65536,
  prefix: [],
  suffix: [],
  renderChat: (messages) => messages.map(({ role, content }) => `<${role}>${content}`).join(''),
}

/** The rows as texts. */
async function texts(dataset: string, more: Partial<RowsRequest> = {}) {
  const request = { dataset, tokenizer: async () => characters, samples: 2, length: 60, seed: 0, vocab: 65536, rows: 'truncate' as const }
  const { rows, source, warnings } = await loadRows({ ...request, ...more })
  return { rows: rows.map((row) => characters.decode([...row])), source, warnings }
}

beforeEach(async () => {
  hub = await startFakeHub()
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', await temporaryFolder())
  for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, '')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await hub.close()
})

describe('loadRows of well-known sets', () => {
  test('ultrachat_200k: the split train_sft, conversations by the template, one a row', async () => {
    hub.repos.set('datasets/HuggingFaceH4/ultrachat_200k', {
      'data/train_sft-00000-of-00003-a3ecf92756993583.parquet': await file('chats.parquet'),
      'data/train_sft-00001-of-00003-0a1804bcb6ae68c6.parquet': Buffer.alloc(2000, 'never asked for'),
      'data/test_sft-00000-of-00001-f7dfac4afe5b93f4.parquet': Buffer.alloc(2000, 'other'),
      'data/train_gen-00000-of-00003-a6c9fb894be3e50b.parquet': Buffer.alloc(2000, 'other'),
    })
    const { rows, source } = await texts('ultrachat_200k', { rows: undefined })
    expect(rows).toEqual(['<user>What is 0 + 0?<assistant>0.', '<user>What is 1 + 1?<assistant>2.'])
    expect(source).toBe('HuggingFaceH4/ultrachat_200k (train_sft)')
    expect((await texts('HuggingFaceH4/ultrachat_200k', { split: 'train' })).rows).toEqual(rows)
    // The first rows need the first file only.
    expect(hub.seen.filter(({ path }) => path.includes('/resolve/')).every(({ path }) => path.includes('00000-of-00003-a3'))).toBe(true)
  })

  test('gsm8k: question and answer', async () => {
    hub.repos.set('datasets/openai/gsm8k', {
      'main/train-00000-of-00001.parquet': await file('questions.parquet'),
      'socratic/train-00000-of-00001.parquet': Buffer.alloc(2000),
    })
    const { rows, source } = await texts('gsm8k')
    expect(rows).toEqual(['Question: How many?\nAnswer: Two and two.\n#### 4', 'Question: How much?\nAnswer: #### 5'])
    expect(source).toBe('openai/gsm8k (main, train)')
  })

  test('open-platypus: instruction and output as a conversation', async () => {
    hub.repos.set('datasets/garage-bAInd/Open-Platypus', {
      'data/train-00000-of-00001-4fe2df04669d1669.parquet': await file('instructions.parquet'),
    })
    expect((await texts('open-platypus')).rows).toEqual([
      '<user>Name a colour.<assistant>Blue.',
      '<user>Add the numbers.\n\n2, 3<assistant>5',
    ])
  })

  test('wikitext: paragraphs joined by blank lines, blank ones too, as published scores have it', async () => {
    hub.repos.set('datasets/Salesforce/wikitext', {
      'wikitext-2-raw-v1/test-00000-of-00001.parquet': await file('paragraphs.parquet'),
      'wikitext-103-raw-v1/test-00000-of-00001.parquet': Buffer.alloc(2000),
    })
    const { rows } = await texts('wikitext', { purpose: 'evaluation', rows: undefined, length: 20, samples: 1 })
    expect(rows).toEqual(['\n\n = Title = \n\n\n\n\n A'])
  })

  test('c4: the first shard of a thousand, which are JSON lines under .json.gz', async () => {
    hub.repos.set('datasets/allenai/c4', {
      'en/c4-train.00000-of-01024.json.gz': await file('rows.jsonl.gz'),
      'en/c4-train.00001-of-01024.json.gz': Buffer.alloc(2000),
      'en.noblocklist/c4-train.00000-of-01024.json.gz': Buffer.alloc(2000),
      'en/c4-validation.00000-of-00008.json.gz': Buffer.alloc(2000),
    })
    const { rows, source } = await texts('c4')
    expect(rows[0]).toBe('Row 0: naïve café, 漢字 and 🙂 number 0.')
    expect(source).toBe('allenai/c4 (en, train)')
  })

  test('pile-val-backup: a .jsonl.zst file', async () => {
    hub.repos.set('datasets/mit-han-lab/pile-val-backup', { 'val.jsonl.zst': await file('rows.jsonl.zst'), 'README.md': Buffer.from('') })
    expect((await texts('mit-han-lab/pile-val-backup')).rows[1]).toBe('Row 1: naïve café, 漢字 and 🙂 number 1.')
  })
})

describe('loadRows of any dataset of the hub', () => {
  test('reads the split by its files, at a revision, under the column that is told', async () => {
    hub.repos.set('datasets/me/mine', {
      'train.csv': Buffer.from('id,body\n1,one\n2,two\n'),
      'test.csv': Buffer.from('id,body\n3,three\n'),
    })
    expect((await texts('me/mine@main', { column: 'body' })).rows).toEqual(['one', 'two'])
    const { rows, warnings, source } = await texts('me/mine', { column: 'body', split: 'test' })
    expect(rows).toEqual(['three'])
    expect(source).toBe('me/mine (test)')
    expect(warnings).toEqual(['found 1 of the 2 rows of 60 tokens asked for in me/mine (test)'])
  })

  test('draws at random from all files for a seed', async () => {
    const part = (from: number) => Buffer.from(Array.from({ length: 50 }, (_, i) => JSON.stringify({ text: `row ${from + i}` })).join('\n'))
    hub.repos.set('datasets/me/many', { 'data/train-0.jsonl': part(0), 'data/train-1.jsonl': part(50) })
    const { rows } = await texts('me/many', { samples: 20, seed: 4 })
    const numbers = rows.map((row) => Number(row.slice(4)))
    expect(new Set(numbers).size).toBe(20)
    expect(numbers.filter((n) => n >= 50).length).toBeGreaterThan(3)
    expect(numbers.filter((n) => n < 50).length).toBeGreaterThan(3)
    expect((await texts('me/many', { samples: 20, seed: 4 })).rows).toEqual(rows)
  })

  test('is found again without the hub', async () => {
    hub.repos.set('datasets/me/mine', { 'train.jsonl': Buffer.from('"one"\n"two"') })
    const { rows } = await texts('me/mine')
    await hub.close()
    expect((await texts('me/mine', { hub: { localFilesOnly: true } })).rows).toEqual(rows)
    expect((await texts('me/mine')).warnings[0]).toMatch(/cannot be reached: me\/mine@main is taken as it is in the cache/)
  })

  test('names the files that are there where the split is not', async () => {
    hub.repos.set('datasets/me/mine', { 'train.jsonl': Buffer.from('"one"'), 'validation.jsonl': Buffer.from('"two"') })
    const failure = texts('me/mine', { split: 'validaton' })
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(
      /split "validaton" in the dataset me\/mine: found train\.jsonl, validation\.jsonl, .*"validation"/,
    )
  })

  test('names the column that is missing', async () => {
    hub.repos.set('datasets/openai/gsm8k', { 'main/train-00000-of-00001.parquet': await file('paragraphs.parquet') })
    await expect(texts('gsm8k')).rejects.toThrow(/found the columns text, expected "question"/)
    hub.repos.set('datasets/me/mine', { 'train.csv': Buffer.from('id,body\n1,one\n') })
    await expect(texts('me/mine')).rejects.toThrow(/:2: found id, body, expected a text under "text"/)
  })

  test('says that there is no such dataset', async () => {
    const failure = texts('me/none')
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(/Cannot download the dataset me\/none@main .*no such repository/)
  })
})

describe('splitFiles()', () => {
  const part = { config: null, split: 'train', files: null }

  test.each([
    [['train.jsonl', 'test.jsonl'], ['train.jsonl']],
    [
      ['data/train-00001-of-00002.parquet', 'data/train-00000-of-00002.parquet', 'data/test-00000-of-00001.parquet'],
      ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
    ],
    [['train.json', 'train.parquet'], ['train.parquet']],
    [['train_sft.parquet', 'train.parquet'], ['train.parquet']],
    [['my-train_a.jsonl', 'my-test_a.jsonl'], ['my-train_a.jsonl']],
    [['data.jsonl', 'README.md', 'dataset_infos.json'], ['data.jsonl']],
    [['test.jsonl', 'trainer.jsonl'], []],
  ])('train of %j', (paths, expected) => {
    expect(splitFiles(paths, part)).toEqual(expected)
  })

  test('keeps to the subset', () => {
    expect(splitFiles(['a/train.jsonl', 'b/train.jsonl'], { ...part, config: 'b' })).toEqual(['b/train.jsonl'])
  })
})
