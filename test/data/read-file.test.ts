import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { readDataFile } from '../../src/data/read-file.ts'
import { DataError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
})

async function textOf(name: string, bytes: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), bytes)
  const content = await readDataFile(join(folder, name), 'text')
  if (content.kind !== 'text') throw new Error('expected text')
  let text = ''
  for await (const piece of content.pieces) text += piece
  return text
}

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(DataError)
  return (error as DataError).message
}

describe('readDataFile()', () => {
  test('gives a .txt file as it is, also where a chunk ends within a character', async () => {
    const text = `${'x'.repeat((1 << 20) - 1)}é and 漢字 \u2028 end`
    expect(await textOf('a.txt', text)).toBe(text)
  })

  test('drops a byte order mark', async () => {
    expect(await textOf('a.txt', '\uFEFFab')).toBe('ab')
    expect(await textOf('a.jsonl', '\uFEFF"ab"\r\n')).toBe('ab')
    expect(await textOf('a.json', '\uFEFF["ab"]')).toBe('ab')
  })

  test('gives the texts of any lines of JSON', async () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { minLength: 1 })
    await fc.assert(
      fc.asyncProperty(texts, async (lines) => {
        expect(await textOf('a.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'))).toBe(lines.join('\n\n'))
      }),
      { numRuns: 30 },
    )
  })

  test.each(['a.txt', 'a.jsonl', 'a.json'])('%s refuses bytes that are no UTF-8 instead of calibrating on U+FFFD', async (name) => {
    expect(await failure(textOf(name, Uint8Array.of(0x22, 0x61, 0xff, 0xfe, 0x22)))).toMatch(/found bytes that are not UTF-8/)
    expect(await failure(textOf(name, Uint8Array.of(0x22, 0x61, 0xe6, 0xbc)))).toMatch(/found bytes that are not UTF-8/)
  })

  test('refuses a .txt file with NUL characters, as binary files have them', async () => {
    expect(await failure(textOf('a.txt', 'ELF\0\0\0'))).toMatch(/a\.txt: found a NUL character/)
  })

  test('tells a folder from a device', async () => {
    await mkdir(join(folder, 'b.txt'))
    expect(await failure(readDataFile(join(folder, 'b.txt'), 'text'))).toMatch(/found a folder/)
    expect(await failure(readDataFile('/dev/null', 'text'))).toMatch(/it is not a regular file/)
  })
})
