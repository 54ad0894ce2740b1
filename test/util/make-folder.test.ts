import { existsSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../../src/util/make-folder.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

test('makes a folder with those above it, and takes one that is there', async () => {
  const folder = join(await temporaryFolder(), 'a', 'b', 'c')
  await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(join(folder, 'd'))])
  expect((await stat(join(folder, 'd'))).isDirectory()).toBe(true)
  await makeFolder(folder)
})

test('takes folders that somebody else makes meanwhile', async () => {
  const parent = await temporaryFolder()
  const rounds = Array.from({ length: 200 }, (_, round) => join(parent, String(round), 'b', 'c'))
  for (const folder of rounds) await Promise.all([makeFolder(folder), makeFolder(dirname(folder)), makeFolder(join(folder, 'd'))])
})

test('fails at a file, and where a file system takes no folders', async () => {
  const file = join(await temporaryFolder(), 'file')
  await writeFile(file, '')
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST' })
  await expect(makeFolder(join(file, 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  if (existsSync('/proc/self')) await expect(makeFolder('/proc/nowhere/a')).rejects.toMatchObject({ code: 'ENOENT' })
})
