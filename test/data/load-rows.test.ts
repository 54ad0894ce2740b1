import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadRows, type RowsRequest } from '../../src/data/load-rows.ts'
import type { Dataset } from '../../src/data/rows.ts'
import { loadTokenizer, type Tokenizer } from '../../src/data/tokenizer.ts'
import { DataError } from '../../src/util/errors.ts'
import golden from './transformers-ids.json' with { type: 'json' }

/** One id a UTF-16 unit: rows show which characters they are made of. */
const units = (text: string) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
const characters: Tokenizer = {
  encode: units,
  encodePlain: units,
  decode: (ids) => String.fromCharCode(...ids),
  vocabSize: 65536,
  prefix: [],
  suffix: [],
  renderChat: null,
}
/** Puts `^` before and `$` after a text, and writes conversations as `^u:...` and so on. */
const framed: Tokenizer = {
  ...characters,
  encode: (text) => units(`^${text}$`),
  prefix: units('^'),
  suffix: units('$'),
  renderChat: (messages) => `^${messages.map(({ role, content }) => `${role[0]}:${content};`).join('')}`,
}
const request = (more: Partial<RowsRequest> & Pick<RowsRequest, 'dataset'>): RowsRequest => ({
  tokenizer: async () => characters,
  samples: 2,
  length: 4,
  seed: 0,
  vocab: 65536,
  ...more,
})
const words = (rows: Int32Array[]) => rows.map((row) => characters.decode([...row]))
const sha256 = (rows: Int32Array[]) =>
  rows.reduce((hash, row) => hash.update(new Uint8Array(row.buffer)), createHash('sha256')).digest('hex')

let folder: string
const write = async (name: string, content: string | Uint8Array) => {
  const file = join(folder, name)
  await writeFile(file, content)
  return file
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmpress-rows-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('loadRows of docs-text', () => {
  const { calibration, evaluation, length } = golden['docs-text']
  const docs = async (more: Partial<RowsRequest>) => {
    const tokenizer = await loadTokenizer('examples/models/docs-llama-4m')
    return loadRows(request({ dataset: 'docs-text', tokenizer: async () => tokenizer, length, vocab: 4096, ...more }))
  }

  it('gives the rows of transformers on the joined texts, from a prefix of them', async () => {
    const { rows, source, warnings } = await docs({ samples: 64 })
    expect(sha256(rows)).toBe(calibration.rows64)
    expect(source).toBe('docs-text (built in)')
    expect(warnings).toEqual([])
  })

  it('gives the rows of transformers on the whole, and says that there are no more', async () => {
    const { rows, warnings } = await docs({ samples: 5000 })
    expect(rows.length).toBe(Math.floor(calibration.tokens / length))
    expect(sha256(rows)).toBe(calibration.all)
    expect(warnings).toEqual([`found ${rows.length} of the 5000 rows of ${length} tokens asked for in docs-text (built in)`])
  })

  it('keeps the evaluation text apart', async () => {
    expect(sha256((await docs({ samples: 96, purpose: 'evaluation' })).rows)).toBe(evaluation.rows96)
  })

  it('cuts the same rows from a prefix as from the whole, wherever the prefix ends', async () => {
    const { rows: whole } = await docs({ samples: 5000, length: 37 })
    for (const samples of [1, 2, 7, 50, 333]) {
      expect((await docs({ samples, length: 37 })).rows).toEqual(whole.slice(0, samples))
    }
  })
})

describe('loadRows of files', () => {
  it.each([
    ['a.txt', 'abcdefghij', ['abcd', 'efgh']],
    ['mark.txt', '\uFEFFabcdefgh', ['abcd', 'efgh']],
    ['a.jsonl', '{"text": "abc"}\n\n{"text": "defg"}\n', ['abc\n', '\ndef']],
    ['strings.jsonl', '"abc"\r\n"defg"', ['abc\n', '\ndef']],
    ['a.json', '["abc", {"text": "defg"}]', ['abc\n', '\ndef']],
  ])('reads %s', async (name, content, expected) => {
    const file = await write(name, content)
    const { rows, source } = await loadRows(request({ dataset: file }))
    expect(words(rows)).toEqual(expected)
    expect(source).toBe(file)
  })

  it('reads another column when told to', async () => {
    const dataset = await write('column.jsonl', '{"text": "no", "body": "abcdefgh"}')
    expect(words((await loadRows(request({ dataset, column: 'body' }))).rows)).toEqual(['abcd', 'efgh'])
  })

  it('reads token rows from a .json array of arrays', async () => {
    const dataset = await write('tokens.json', '[[1, 2, 3], [4, 5, 6, 7]]')
    const tokenizer = () => Promise.reject(new Error('not needed for token rows'))
    expect((await loadRows(request({ dataset, tokenizer }))).rows).toEqual([Int32Array.of(1, 2, 3), Int32Array.of(4, 5, 6, 7)])
  })

  it('stops reading a .jsonl file when it has enough', async () => {
    const dataset = await write('prefix.jsonl', `${'{"text": "abcdefgh"}\n'.repeat(200)}this line is damaged`)
    expect((await loadRows(request({ dataset }))).rows.length).toBe(2)
  })

  it.each([
    ['empty.txt', '', /empty\.txt: it is empty/],
    ['blank.txt', ' \n\t\n  \r\n', /blank\.txt: found nothing but white space, expected a text/],
    ['damaged.jsonl', '{"text": "abc"}\n{"text": ', /damaged\.jsonl:2: .*expected one JSON value a line/],
    ['column.jsonl', '{"prompt": "abc", "answer": "d"}', /column\.jsonl:1: found prompt, answer, expected a text under "text"/],
    ['number.jsonl', '{"text": 3}', /number\.jsonl:1: "text" holds a number, expected a text/],
    ['item.json', '["abc", 7]', /item\.json, item 2: found a number, expected a string or an object with "text"/],
    ['object.json', '{\n"text": "abc"}', /object\.json:1: .*expected one JSON value a line/],
    ['empty-row.jsonl', '{"text": "abc"}\n{"text": " "}', /empty-row\.jsonl:2: "text" holds an empty text/],
    ['nothing.jsonl', '\n\n', /found no rows in .*nothing\.jsonl/],
    ['latin1.csv', Buffer.from('text\ncaf\xe9', 'latin1'), /latin1\.csv: found bytes that are not UTF-8/],
    ['ragged.csv', 'text,n\nab,1\ncd', /ragged\.csv: .*line 3.*expected a table/],
    ['columns.csv', 'a,b\n1,2', /columns\.csv:2: found a, b, expected a text under "text"/],
    ['mixed.jsonl', '"ab"\n[1, 2]', /mixed\.jsonl:2: found token ids after texts/],
    ['turn.jsonl', '{"messages": [{"role": "user"}]}', /message 1 of .*turn\.jsonl:1: "content" holds nothing/],
    ['table.xlsx', 'a,b', /table\.xlsx: found the ending "\.xlsx", expected a \.txt, \.jsonl, \.json, \.csv/],
    ['rows.parquet', 'PAR0', /rows\.parquet: .*expected a whole \.parquet file/],
    ['cut.jsonl.gz', Buffer.from('1f8b0800', 'hex'), /cut\.jsonl\.gz: unexpected end of file, expected a whole gzip file/],
    ['cut.jsonl.zst', 'no zstd', /cut\.jsonl\.zst: .*expected a whole zstd file/],
    ['one.txt', 'a', /one\.txt: found 1 tokens, expected at least 2/],
    ['big.json', '[[1, 2], [3, 70000]]', /found token id 70000, expected 0 to 65535/],
    ['half.json', '[[1, 2], [3, 4.5]]', /half\.json, item 2: found 4.5 at position 1, expected token ids/],
    ['short.json', '[[1, 2], [3]]', /short\.json, item 2: found 1 tokens, expected at least 2/],
  ])('rejects %s', async (name, content, message) => {
    const dataset = await write(name, content)
    const failure = loadRows(request({ dataset }))
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(message)
  })

  it('rejects a file that is not there and a folder', async () => {
    await expect(loadRows(request({ dataset: join(folder, 'none.txt') }))).rejects.toThrow('there is no such file')
    await expect(loadRows(request({ dataset: folder }))).rejects.toThrow('found a folder')
  })

  it('suggests the built-in name that was meant', async () => {
    const failure = loadRows(request({ dataset: 'doc-text' }))
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(
      'Cannot find the dataset "doc-text": neither a file nor a known name (did you mean "docs-text"?), expected the built-in docs-text, mixed-text, quotations',
    )
    await expect(loadRows(request({ dataset: 'gutenberg' }))).rejects.toThrow(
      'Cannot find the dataset "gutenberg": neither a file nor a known name, expected the built-in docs-text',
    )
  })
})

describe('loadRows of tables and archives', () => {
  it.each(['rows.jsonl', 'rows.jsonl.gz', 'rows.jsonl.zst', 'rows-zstd.parquet'])('makes the same rows of %s', async (name) => {
    const { rows } = await loadRows(request({ dataset: `test/data/files/${name}`, length: 64, samples: 8 }))
    const { rows: plain } = await loadRows(request({ dataset: 'test/data/files/rows.jsonl', length: 64, samples: 8 }))
    expect(words(rows)).toEqual(words(plain))
    expect(rows.length).toBe(8)
  })

  it('reads token rows from a .parquet file', async () => {
    const { rows } = await loadRows(request({ dataset: 'test/data/files/tokens.parquet' }))
    expect(rows).toEqual([Int32Array.of(1, 2, 3), Int32Array.of(4, 5, 6, 7)])
  })

  it('draws the rows of a .parquet file at random for a seed', async () => {
    const draw = async (seed: number) =>
      words(
        (await loadRows(request({ dataset: 'test/data/files/rows-zstd.parquet', rows: 'truncate', length: 99, samples: 9, seed }))).rows,
      )
    expect(await draw(1)).toEqual(await draw(1))
    expect(new Set(await draw(1)).size).toBe(9)
    expect(await draw(2)).not.toEqual(await draw(1))
  })
})

describe('loadRows with a tokenizer that begins and ends texts', () => {
  const framedRequest = (more: Partial<RowsRequest> & Pick<RowsRequest, 'dataset'>) => request({ tokenizer: async () => framed, ...more })

  it('begins every packed row of calibration as the tokenizer begins a text', async () => {
    const { rows } = await loadRows(framedRequest({ dataset: ['abcdefgh'], samples: 9 }))
    expect(words(rows)).toEqual(['^abc', '^def'])
  })

  it('begins a text to score once', async () => {
    const { rows } = await loadRows(framedRequest({ dataset: ['abcdefgh'], samples: 9, purpose: 'evaluation' }))
    expect(words(rows)).toEqual(['^abc', 'defg'])
  })

  it('draws as many truncated rows as are asked for where some documents give none', async () => {
    const dataset = Array.from({ length: 200 }, (_, i) => (i % 4 === 0 ? `row ${i}` : 'x'))
    const draw = (seed: number) => loadRows(request({ dataset, rows: 'truncate', length: 9, samples: 50, seed }))
    for (const seed of [1, 2, 3]) {
      const { rows, warnings } = await draw(seed)
      expect(new Set(words(rows)).size).toBe(50)
      expect(warnings.filter((warning) => !warning.includes('shorter than 2 tokens'))).toEqual([])
    }
    expect((await loadRows(request({ dataset, rows: 'truncate', length: 9, samples: 20, seed: 1 }))).rows).toHaveLength(20)
  })

  it('gives the beginning to a text that is shorter than a row', async () => {
    expect(words((await loadRows(framedRequest({ dataset: ['ab'], samples: 1, length: 9 }))).rows)).toEqual(['^ab'])
  })

  it('keeps both ends of a truncated row', async () => {
    const { rows, warnings } = await loadRows(framedRequest({ dataset: ['abcdefgh', 'xy'], rows: 'truncate' }))
    expect(words(rows)).toEqual(['^ab$', '^xy$'])
    expect(warnings).toEqual([])
  })

  it('writes conversations by the chat template, one a row, and adds nothing to what it writes', async () => {
    const dataset = [
      [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes' },
      ],
      [{ role: 'user', content: 'bye' }],
    ]
    const { rows, source } = await loadRows(framedRequest({ dataset, length: 12 }))
    expect(words(rows)).toEqual(['^u:hi;a:yes;', '^u:bye;'])
    expect(source).toBe('2 conversations')
  })

  it('packs conversations when told to, without doubling the beginning', async () => {
    const dataset = [[{ role: 'user', content: 'hi' }], [{ role: 'user', content: 'bye' }]]
    const { rows } = await loadRows(framedRequest({ dataset, length: 6, rows: 'pack' }))
    expect(words(rows)).toEqual(['^u:hi;', '^u:bye'])
  })

  it('reads messages of files in both usual forms', async () => {
    const dataset = await write(
      'chats.jsonl',
      '{"messages": [{"role": "user", "content": "hi"}]}\n{"conversations": [{"from": "human", "value": "ho"}, {"from": "gpt", "value": "he"}]}\n' +
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "ha"}]}]}',
    )
    const { rows } = await loadRows(framedRequest({ dataset, length: 12, samples: 3 }))
    expect(words(rows)).toEqual(['^u:hi;', '^u:ho;a:he;', '^u:ha;'])
  })
})

describe('loadRows of conversations without a template', () => {
  it('joins the contents and says so', async () => {
    const dataset = [
      [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes' },
      ],
    ]
    const { rows, warnings } = await loadRows(request({ dataset, length: 12, samples: 1 }))
    expect(words(rows)).toEqual(['hi\n\nyes'])
    expect(warnings).toEqual(['the model has no chat template: the messages of 1 conversation are joined by blank lines, without roles'])
  })
})

describe('loadRows of values', () => {
  it('joins texts by blank lines and drops the incomplete tail', async () => {
    const { rows, source, warnings } = await loadRows(request({ dataset: ['ab', 'cdef', 'g'], samples: 9 }))
    expect(words(rows)).toEqual(['ab\n\n', 'cdef'])
    expect(source).toBe('3 texts')
    expect(warnings).toEqual(['found 2 of the 9 rows of 4 tokens asked for in 3 texts'])
  })

  it('makes fewer rows than asked for an error when told to', async () => {
    const failure = loadRows(request({ dataset: ['abcdefgh'], samples: 3, exact: true }))
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow('found 2 of the 3 rows of 4 tokens asked for in 1 text')
  })

  it('uses one shorter row when the text is shorter than a row, and says so', async () => {
    const { rows, warnings } = await loadRows(request({ dataset: ['abc'], samples: 1 }))
    expect(words(rows)).toEqual(['abc'])
    expect(warnings).toEqual(['1 text has 3 tokens, fewer than one row of 4: one shorter row is used'])
  })

  it('leaves out what an attention mask hides, on either side', async () => {
    const dataset = [
      { input_ids: [5, 6, 7, 0, 0], attention_mask: [1, 1, 1, 0, 0] },
      { input_ids: [0, 8, 9], attention_mask: [false, true, true] },
    ]
    expect((await loadRows(request({ dataset: dataset as never }))).rows).toEqual([Int32Array.of(5, 6, 7), Int32Array.of(8, 9)])
    const file = await write('masked.jsonl', dataset.map((row) => `${JSON.stringify(row)}\n`).join(''))
    expect((await loadRows(request({ dataset: file }))).rows).toEqual([Int32Array.of(5, 6, 7), Int32Array.of(8, 9)])
    for (const attention_mask of [[1, 1], [1, 2, 1], 'all']) {
      await expect(loadRows(request({ dataset: [{ input_ids: [1, 2, 3], attention_mask }] as never }))).rejects.toThrow(
        /"attention_mask" holds/,
      )
    }
  })

  it('cuts long token rows and says so', async () => {
    const { rows, warnings } = await loadRows(request({ dataset: [[1, 2, 3, 4, 5], Int32Array.of(6, 7)] }))
    expect(rows).toEqual([Int32Array.of(1, 2, 3, 4), Int32Array.of(6, 7)])
    expect(warnings).toEqual(['cut to 4 tokens what is longer in 2 token rows: 1 of 2 rows'])
  })

  it("refuses token rows beyond the model's positions", async () => {
    const failure = loadRows(
      request({
        dataset: [
          [1, 2, 3],
          [1, 2, 3, 4, 5],
        ],
        context: 4,
      }),
    )
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow('Cannot use row 1 of 2 token rows: found 5 tokens, expected at most the 4 positions of the model')
  })

  it('draws rows of the whole data at random, the same for the same seed', () => {
    const text = Array.from({ length: 400 }, (_, i) => String.fromCharCode(0x4e00 + i)).join('')
    const all = text.match(/.{4}/g) ?? []
    return fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 2, max: 100 }), async (seed, samples) => {
        const draw = async () => words((await loadRows(request({ dataset: [text], samples, seed }))).rows)
        const rows = await draw()
        expect(rows).toEqual(await draw())
        expect(new Set(rows).size).toBe(samples)
        for (const row of rows) expect(all).toContain(row)
      }),
      { numRuns: 30 },
    )
  })

  it.each([
    [{ dataset: [] }, 'found an empty list'],
    [{ dataset: ['ab'], samples: 0 }, 'Cannot load rows with samples 0'],
    [{ dataset: ['ab'], length: 1 }, 'Cannot load rows with length 1'],
    [{ dataset: [[1, -2]] }, 'found token id -2, expected 0 to 65535'],
    [
      {
        dataset: [
          [1, 2],
          [3, 4.5],
        ],
      },
      'Cannot use row 1 of 2 token rows: found 4.5 at position 1',
    ],
    [{ dataset: [[1, 2], 'three'] as unknown as Dataset }, 'Cannot use row 1 of 2 token rows: found a text'],
    [{ dataset: [null] as unknown as Dataset }, 'Cannot read data from row 0 of 1 token row: found null'],
    [{ dataset: [Object.assign(new Array(3), { 0: 1, 2: 3 })] as Dataset }, 'found nothing at position 1'],
    [{ dataset: 5 as unknown as Dataset }, 'Cannot use the dataset: found 5'],
    [{ dataset: '' }, 'Cannot use the dataset: found ""'],
  ])('rejects %j', async (more, message) => {
    const failure = loadRows(request(more))
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(message)
  })

  it('asks for an array where the rows come from a generator', async () => {
    function* rows() {
      yield [1, 2]
    }
    await expect(loadRows(request({ dataset: rows() as unknown as Dataset }))).rejects.toThrow(
      /expected .* an array .*: put what it gives into an array/,
    )
  })
})
