import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { cardConfigs, configFiles } from '../../src/data/dataset-card.ts'
import { openSource, type SourceRequest } from '../../src/data/source.ts'
import { parseSplit, sliceRows } from '../../src/data/split-slice.ts'
import { DataError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { type FakeHub, startFakeHub } from '../hub/fake-hub.ts'

// Made by datasets/make_datasets.py with the datasets library.
interface Golden {
  files: Record<string, string>
  cards: Record<string, string>
  /** `texts`: null where the library refuses. */
  wanted: { card: string; config: string | null; split: string; texts: string[] | null }[]
  slices: { count: number; slice: string; texts: string[] | null }[]
}
const golden = JSON.parse(await readFile('test/data/datasets/datasets.json', 'utf8')) as Golden

let hub: FakeHub

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

async function texts(request: Partial<SourceRequest>, seed = 0): Promise<string[]> {
  const found: string[] = []
  const source = await openSource({ dataset: 'me/mine', ...request })
  for await (const item of source.items(seed)) if (item.kind === 'text') found.push(item.text)
  return found
}

describe('openSource of a dataset with a card', () => {
  const buffers = (card: string) => ({
    ...Object.fromEntries(Object.entries(golden.files).map(([name, text]) => [name, Buffer.from(text)])),
    'README.md': Buffer.from(golden.cards[card]),
  })

  test.each(golden.wanted)('reads the files that "$card" names for $config, $split, as the datasets library does', async (wanted) => {
    hub.repos.set('datasets/me/mine', buffers(wanted.card))
    const found = texts({ split: wanted.split, ...(wanted.config !== null && { config: wanted.config }) })
    if (wanted.texts) expect(await found).toEqual(wanted.texts)
    else await expect(found).rejects.toThrow(DataError)
  })

  test('lists the subsets and splits that there are', async () => {
    hub.repos.set('datasets/me/mine', buffers('several'))
    await expect(texts({ config: 'frist' })).rejects.toThrow(
      /no subset "frist" \(did you mean "first"\?\), expected first, second, third, fourth/,
    )
    await expect(texts({ config: 'second', split: 'tests' })).rejects.toThrow(/split "tests" of "second" .* expected train, tiny/)
    hub.repos.set('datasets/me/mine', buffers('many without a default'))
    await expect(texts({})).rejects.toThrow(/it has several subsets, expected x, y \(--dataset-config\)/)
  })

  test('goes by names where the card says nothing of files', async () => {
    hub.repos.set('datasets/me/mine', { ...buffers('none'), 'train.jsonl': Buffer.from('"one"') })
    expect(await texts({})).toEqual(['one'])
  })

  test('refuses a card that is no YAML, and patterns made to take long', async () => {
    hub.repos.set('datasets/me/mine', { 'README.md': Buffer.from('---\na: [\n---\n'), 'train.jsonl': Buffer.from('"one"') })
    await expect(texts({})).rejects.toThrow(/Cannot read the card of the dataset me\/mine: .*expected YAML/)
    const [config] = cardConfigs(`---\nconfigs:\n- data_files: "${'a*'.repeat(30)}b"\n---\n`, 'me/mine')
    expect(() => configFiles(config, 'train', ['a'.repeat(500)], 'me/mine')).toThrow(/expected 8 stars at most/)
  })
})

describe('openSource of a part of a split', () => {
  const files = (count: number) => {
    const lines = Array.from({ length: count }, (_, i) => `${JSON.stringify({ text: String(i) })}\n`)
    return { 'train-0.jsonl': Buffer.from(lines.slice(0, 5).join('')), 'train-1.jsonl': Buffer.from(lines.slice(5).join('')) }
  }

  test.each(golden.slices)('train$slice of $count rows is what the datasets library takes', async ({ count, slice, texts: expected }) => {
    hub.repos.set('datasets/me/mine', files(count))
    const found = texts({ split: `train${slice}` }, 7)
    if (expected) expect(await found).toEqual(expected)
    // Nothing, which the library takes for a mistake, is for the rows' maker to say.
    else if (slice === '[7:7]') expect(await found).toEqual([])
    else await expect(found).rejects.toThrow(/Cannot read the split "train.*expected a name, or one part of it/)
  })

  test('counts the rows of .parquet files without reading them, and asks for no file behind the part', async () => {
    const parquet = await readFile('test/data/files/chats.parquet')
    hub.repos.set('datasets/me/mine', { 'train-0.parquet': parquet, 'train-1.parquet': Buffer.alloc(2000, 'never asked for') })
    const source = await openSource({ dataset: 'me/mine', split: 'train[:1]' })
    expect(source.name).toBe('me/mine (train[:1])')
    let count = 0
    for await (const _ of source.items(0)) count++
    expect(count).toBe(1)
    expect(hub.seen.filter(({ path }) => path.endsWith('train-1.parquet'))).toEqual([])
    hub.repos.set('datasets/me/mine', { 'train-0.parquet': parquet })
    const all = await openSource({ dataset: 'me/mine', split: 'train' })
    const half = await openSource({ dataset: 'me/mine', split: 'train[:50%]' })
    const lengthOf = async (items: AsyncIterable<unknown>) => {
      let sum = 0
      for await (const _ of items) sum++
      return sum
    }
    expect(await lengthOf(half.items(0))).toBe((await lengthOf(all.items(0))) / 2)
  })

  test('refuses splits added up', () => {
    expect(() => parseSplit('train+test')).toThrow(/Cannot read the split "train\+test"/)
    expect(parseSplit('train_sft')).toEqual({ split: 'train_sft', slice: null })
    expect(sliceRows({ text: '', from: { value: 3, percent: false }, to: null }, Number.POSITIVE_INFINITY).start).toBe(3)
  })
})
