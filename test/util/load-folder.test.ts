import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { loadFolder } from '../../src/util/load-folder.ts'
import { folderOf } from '../checkpoint/folders.ts'

describe('loadFolder', () => {
  it('imports the modules of a folder by name, in order, without declarations and other files', async () => {
    const dir = await folderOf({
      'b.js': 'export const value = 2',
      'a.js': 'export const value = 1',
      'a.d.ts': 'export declare const value: number',
      'notes.md': 'not code',
      'package.json': { type: 'module' },
    })
    const modules = await loadFolder(pathToFileURL(`${dir}/`))
    expect([...modules].map(([name, { value }]) => [name, value])).toEqual([
      ['a', 1],
      ['b', 2],
    ])
  })

  it('passes on what a broken module throws', async () => {
    const dir = await folderOf({ 'a.js': "throw new Error('broken')", 'package.json': { type: 'module' } })
    await expect(loadFolder(pathToFileURL(`${dir}/`))).rejects.toThrow('broken')
  })
})
