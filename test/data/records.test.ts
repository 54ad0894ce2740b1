import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet'
import { describe, expect, test } from 'vitest'
import { openDataFile } from '../../src/data/data-file.ts'
import { readRecords } from '../../src/data/records.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

const FILES = 'test/data/files'

async function read(path: string, { seed = 0, columns = null as string[] | null } = {}) {
  const records = []
  for await (const record of readRecords(openDataFile(path), { seed, columns: () => columns })) records.push(record)
  return records
}

const rows = async () =>
  (await readFile(join(FILES, 'rows.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object)

describe('readRecords()', () => {
  test.each(['rows.jsonl', 'rows.jsonl.gz', 'rows.jsonl.zst', 'rows-snappy.parquet', 'rows-zstd.parquet', 'rows-gzip.parquet'])(
    '%s, written by Python, has the rows that Python put there',
    async (name) => {
      expect((await read(join(FILES, name))).map(({ value }) => value)).toEqual(await rows())
    },
  )

  test('a row of a .parquet file is named by its number', async () => {
    const records = await read(join(FILES, 'rows-zstd.parquet'))
    expect(records[8].where).toBe(`${FILES}/rows-zstd.parquet, row 9`)
  })

  test('a .parquet file gives the columns asked for only', async () => {
    const [{ value }] = await read(join(FILES, 'rows-snappy.parquet'), { columns: ['text'] })
    expect(Object.keys(value as object)).toEqual(['text'])
  })

  test('a .parquet file gives its row groups in random order for a seed, each whole, the same every time', async () => {
    const records = (await read(join(FILES, 'rows-snappy.parquet'), { seed: 3 })).map(({ value }) => (value as { n: number }).n)
    expect(records).toEqual((await read(join(FILES, 'rows-snappy.parquet'), { seed: 3 })).map(({ value }) => (value as { n: number }).n))
    expect([...records].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i))
    expect(records).not.toEqual([...records].sort((a, b) => a - b))
    expect(records.filter((n, i) => i > 0 && n !== records[i - 1] + 1).length).toBeLessThan(6)
  })

  test('a .parquet file is read no further than the row groups that are asked for', async () => {
    const folder = await temporaryFolder()
    const bytes = await readFile(join(FILES, 'rows-snappy.parquet'))
    const { row_groups: groups } = await parquetMetadataAsync(await asyncBufferFromFile(join(FILES, 'rows-snappy.parquet')))
    const start = Number(groups[3].columns[1].meta_data?.data_page_offset)
    bytes.fill(0xff, start, start + 40)
    await writeFile(join(folder, 'damaged.parquet'), bytes)
    const file = openDataFile(join(folder, 'damaged.parquet'))
    const records = readRecords(file, { seed: 0, columns: () => ['text'] })
    for (let i = 0; i < 7; i++) expect((await records.next()).value?.value).toHaveProperty('text')
    await expect(read(file.path, { columns: ['text'] })).rejects.toThrow(/damaged\.parquet: .*expected a whole \.parquet file/)
  })

  test('nested messages and 64-bit token ids come as plain values', async () => {
    const [first] = await read(join(FILES, 'chats.parquet'))
    expect(first.value).toMatchObject({
      messages: [
        { role: 'user', content: 'What is 0 + 0?' },
        { role: 'assistant', content: '0.' },
      ],
    })
    expect((await read(join(FILES, 'tokens.parquet'))).map(({ value }) => value)).toEqual([
      { input_ids: [1, 2, 3] },
      { input_ids: [4, 5, 6, 7] },
    ])
  })

  test('quoted cells of a .csv file keep commas, quotes and line ends', async () => {
    const file = join(await temporaryFolder(), 'a.csv')
    await writeFile(file, '\uFEFFid,text\r\n1,"a, ""b""\nc"\r\n2,d\r\n')
    expect((await read(file)).map(({ value }) => value)).toEqual([
      { id: '1', text: 'a, "b"\nc' },
      { id: '2', text: 'd' },
    ])
  })

  test('a .tsv file is cut at tabs', async () => {
    const file = join(await temporaryFolder(), 'a.tsv')
    await writeFile(file, 'id\ttext\n1\ta, b\n')
    expect((await read(file)).map(({ value }) => value)).toEqual([{ id: '1', text: 'a, b' }])
  })

  test('a .json file with an object a line is read by lines', async () => {
    const file = join(await temporaryFolder(), 'a.json')
    await writeFile(file, '{"text": "a"}\n{"text": "b"}\n')
    expect((await read(file)).map(({ value }) => value)).toEqual([{ text: 'a' }, { text: 'b' }])
  })
})
