import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headerLength, layOut, parseHeader } from '../../src/checkpoint/safetensors.ts'
import { tensorBytes } from '../../src/checkpoint/shards.ts'
import type { TensorInfo } from '../../src/checkpoint/tensor.ts'
import { DTYPE_BYTES, type DType } from '../../src/numerics/dtype.ts'
import { CheckpointError } from '../../src/util/errors.ts'

const oracle = (name: string) => readFileSync(new URL(`../oracles/checkpoints/${name}/model.safetensors`, import.meta.url))

/** As the reader does it, on a file in memory. */
function parse(file: Uint8Array) {
  const length = headerLength(file.subarray(0, 8), file.length, 'f')
  return parseHeader(file.subarray(8, 8 + length), file.length, 'f')
}

function fileOf(json: string | Uint8Array, dataBytes = 0): Uint8Array {
  const header = Buffer.from(json)
  const file = Buffer.alloc(8 + header.length + dataBytes)
  file.writeBigUInt64LE(BigInt(header.length))
  header.copy(file, 8)
  return file
}

const entry = (dtype: string, shape: number[], offsets: number[]) => JSON.stringify({ dtype, shape, data_offsets: offsets })

const tensorLists = fc.uniqueArray(
  fc.record<TensorInfo>({
    name: fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
    dtype: fc.constantFrom(...(Object.keys(DTYPE_BYTES) as DType[])),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
  }),
  { selector: ({ name }) => name, maxLength: 12 },
)

describe('layOut', () => {
  it('makes the header that the safetensors package for Python makes', () => {
    for (const name of ['rtn-w4a16-asym', 'fp8-dynamic', 'rtn-w8a8']) {
      const file = oracle(name)
      const { entries, metadata } = parse(file)
      const shuffled = [...entries].sort((a, b) => (a.name > b.name ? -1 : 1))
      const { header, fileSize } = layOut(shuffled, metadata)
      expect(Buffer.from(header).equals(file.subarray(0, header.length))).toBe(true)
      expect(fileSize).toBe(file.length)
    }
  })

  it('aligns the data to 8 bytes and every tensor to its elements', () => {
    fc.assert(
      fc.property(tensorLists, (tensors) => {
        const { header, entries } = layOut(tensors)
        expect(header.length % 8).toBe(0)
        for (const { dtype, begin } of entries) expect(begin % DTYPE_BYTES[dtype]).toBe(0)
      }),
    )
  })

  it('refuses two tensors of one name', () => {
    const tensor: TensorInfo = { name: 'w', dtype: 'F32', shape: [1] }
    expect(() => layOut([tensor, tensor])).toThrow('same name')
  })
})

describe('parseHeader', () => {
  it('reads back what layOut wrote', () => {
    fc.assert(
      fc.property(tensorLists, fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
        const { header, entries, fileSize } = layOut(tensors, metadata)
        const file = new Uint8Array(fileSize)
        file.set(header)
        const parsed = parse(file)
        const bySpot = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)
        expect(parsed.entries.map(({ begin, end }) => [begin, end])).toEqual(bySpot.map(({ begin, end }) => [begin, end]))
        expect(new Map(parsed.entries.map((e) => [e.name, e]))).toEqual(new Map(entries.map((e) => [e.name, e])))
        expect(Object.entries(parsed.metadata).sort()).toEqual(Object.entries(metadata).sort())
        for (const e of parsed.entries) expect(e.end - e.begin).toBe(tensorBytes(e))
      }),
    )
  })

  it('survives any change to a header: only CheckpointError, naming the file', () => {
    const original = oracle('rtn-w4a16-asym')
    const headerEnd = 8 + headerLength(original.subarray(0, 8), original.length, 'f')
    const tokens = [
      '"',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '-1',
      '1e9',
      '9007199254740993',
      'null',
      '\\u',
      '"F4"',
      '{"a":',
      '[[[[',
      '\u0000',
      '\ufeff',
    ]
    const edit = fc.record({
      at: fc.nat(headerEnd),
      drop: fc.nat(12),
      insert: fc.oneof(fc.constantFrom(...tokens), fc.string({ maxLength: 4 })),
    })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), fc.boolean(), (edits, fixLength) => {
        let file = Buffer.from(original)
        for (const { at, drop, insert } of edits)
          file = Buffer.concat([file.subarray(0, at), Buffer.from(insert), file.subarray(at + drop)])
        if (fixLength && file.length > headerEnd) file.writeBigUInt64LE(BigInt(headerEnd - 8 + file.length - original.length))
        try {
          parse(file)
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError)
          expect((error as CheckpointError).file).toBe('f')
        }
      }),
      { numRuns: 1000 },
    )
  })

  const refused: [string, string | Uint8Array, number, string][] = [
    ['a key that occurs twice', `{"a":${entry('U8', [1], [0, 1])},"a":${entry('U8', [1], [0, 1])}}`, 1, '"a" occurs twice'],
    [
      'a key inside an entry that occurs twice',
      '{"a":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,1]}}',
      1,
      '"shape" occurs twice',
    ],
    ['an unknown type', `{"a":${entry('F4', [1], [0, 1])}}`, 1, '"F4", expected one of BOOL'],
    ['a type that is a property of objects', `{"a":${entry('toString', [1], [0, 1])}}`, 1, '"toString"'],
    ['a negative dimension', `{"a":${entry('U8', [-1], [0, 1])}}`, 1, 'non-negative integer'],
    ['a dimension beyond 2^53', '{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]}}', 1, '2^53'],
    ['a product beyond 2^53', `{"a":${entry('U8', [2 ** 40, 2 ** 40], [0, 1])}}`, 1, 'data_offsets'],
    ['bytes that do not fit the shape', `{"a":${entry('F32', [2], [0, 4])}}`, 4, 'expected 8 bytes for F32 [2]'],
    ['an overlap', `{"a":${entry('U8', [2], [0, 2])},"b":${entry('U8', [2], [1, 3])}}`, 3, 'expected'],
    ['a hole', `{"a":${entry('U8', [1], [0, 1])},"b":${entry('U8', [1], [2, 3])}}`, 3, 'where the tensor before it ends'],
    ['data outside the file', `{"a":${entry('U8', [9], [0, 9])}}`, 3, 'may be incomplete'],
    ['data that nobody owns', `{"a":${entry('U8', [1], [0, 1])}}`, 3, "the file's size"],
    ['metadata that is no string', '{"__metadata__":{"a":1}}', 0, 'expected "'],
    ['a list instead of an object', '[]', 0, 'expected {'],
    ['an unknown key', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', 1, 'the key "x"'],
    ['a missing key', '{"a":{"dtype":"U8","shape":[1]}}', 1, 'lacks'],
    ['something after the end', '{}{}', 0, 'expected the end'],
    ['names that are not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a), 0, 'UTF-8'],
  ]
  it.each(refused)('refuses %s', (_, json, dataBytes, message) => {
    expect(() => parse(fileOf(json, dataBytes))).toThrow(message)
    expect(() => parse(fileOf(json, dataBytes))).toThrow(CheckpointError)
  })

  it('refuses 50 MB of nested lists at once, building none of them', () => {
    const before = process.memoryUsage().heapUsed
    for (const start of ['{"a":', '{"a":{"shape":', '{"a":{"shape":[']) {
      const json = Buffer.alloc(50e6, '[')
      json.write(start)
      expect(() => parseHeader(json, 8 + json.length, 'f')).toThrow(CheckpointError)
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20e6)
  })

  it('refuses a list of 25 million dimensions after the first 64', () => {
    const json = Buffer.alloc(50e6, '1,')
    json.write('{"a": {"shape":[')
    expect(() => parseHeader(json, 8 + json.length, 'f')).toThrow('more than 64')
  })
})

describe('headerLength', () => {
  it('refuses a length of 2^60, of more than the file and of more than 100 MB', () => {
    for (const [claimed, size] of [
      [2n ** 60n, 1000],
      [993n, 1000],
      [100_000_001n, 2 ** 40],
    ] as const) {
      const prefix = Buffer.alloc(8)
      prefix.writeBigUInt64LE(claimed)
      expect(() => headerLength(prefix, size, 'f')).toThrow(`claims ${claimed} bytes`)
    }
  })

  it('says what a file of fewer than 8 bytes and a Git LFS pointer are', () => {
    expect(() => headerLength(new Uint8Array(3), 3, 'f')).toThrow('has 3 bytes')
    expect(() => headerLength(Buffer.from('version https://git-lfs.github.com/spec/v1').subarray(0, 8), 130, 'f')).toThrow('git lfs pull')
  })
})
