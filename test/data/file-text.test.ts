import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { openDataFile } from '../../src/data/data-file.ts'
import { textLines, textPieces } from '../../src/data/file-text.ts'
import { DataError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})

async function collect(pieces: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const piece of pieces) all.push(piece)
  return all
}

async function textOf(name: string, bytes: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), bytes)
  return (await collect(textPieces(openDataFile(join(folder, name))))).join('')
}

async function linesOf(bytes: string): Promise<string[]> {
  await writeFile(join(folder, 'a.jsonl'), bytes)
  return collect(textLines(openDataFile(join(folder, 'a.jsonl'))))
}

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(DataError)
  return (error as DataError).message
}

describe('textPieces()', () => {
  test('gives a .txt file as it is, also where a chunk ends within a character', async () => {
    const text = `${'x'.repeat((1 << 20) - 1)}é and 漢字 \u2028 end`
    expect(await textOf('a.txt', text)).toBe(text)
  })

  test('drops a byte order mark', async () => {
    expect(await textOf('a.txt', '\uFEFFab')).toBe('ab')
  })

  test.each(['a.txt', 'a.jsonl', 'a.json'])('%s refuses bytes that are no UTF-8 instead of calibrating on U+FFFD', async (name) => {
    expect(await failure(textOf(name, Uint8Array.of(0x22, 0x61, 0xff, 0xfe, 0x22)))).toMatch(/found bytes that are not UTF-8/)
    expect(await failure(textOf(name, Uint8Array.of(0x22, 0x61, 0xe6, 0xbc)))).toMatch(/found bytes that are not UTF-8/)
  })

  test('refuses a .txt file with NUL characters, as binary files have them', async () => {
    expect(await failure(textOf('a.txt', 'ELF\0\0\0'))).toMatch(/a\.txt: found a NUL character/)
  })
})

describe('textLines()', () => {
  test('gives the lines of any text, wherever its pieces end', async () => {
    const texts = fc.array(
      fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\n\0\uFEFF]/.test(text)),
      { minLength: 1 },
    )
    await fc.assert(
      fc.asyncProperty(texts, async (lines) => {
        expect(await linesOf(lines.join('\n'))).toEqual(lines)
      }),
      { numRuns: 30 },
    )
  })

  test('gives a line that is longer than a piece whole', async () => {
    const long = 'x'.repeat(3 << 20)
    expect(await linesOf(`a\n${long}\nb`)).toEqual(['a', long, 'b'])
  })
})

describe('openDataFile()', () => {
  test('tells a folder from a device', async () => {
    await mkdir(join(folder, 'b.txt'))
    expect(() => openDataFile(join(folder, 'b.txt'))).toThrow(/found a folder/)
    expect(() => openDataFile('/dev/null')).toThrow(/it is not a regular file/)
  })

  test('refuses a .parquet file that is compressed as a whole', async () => {
    await writeFile(join(folder, 'a.parquet.gz'), 'x')
    expect(() => openDataFile(join(folder, 'a.parquet.gz'))).toThrow(/expected it unpacked/)
  })
})
