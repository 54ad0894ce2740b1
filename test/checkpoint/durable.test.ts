import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { replaceDurably } from '../../src/checkpoint/durable.ts'
import { temporaryFolder } from './folders.ts'

describe('replaceDurably()', () => {
  it('puts a file in the place of another', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'a'), 'old')
    await replaceDurably(join(folder, 'a'), 'new')
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('new')
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('leaves no draft where it fails', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'a'))
    await expect(replaceDurably(join(folder, 'a'), 'new')).rejects.toThrow(/^Cannot write .*a: /)
    expect(await readdir(folder)).toEqual(['a'])
  })
})
