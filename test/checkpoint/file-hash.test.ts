import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sha256OfFile } from '../../src/checkpoint/file-hash.ts'
import { RunError } from '../../src/util/errors.ts'
import { temporaryFolder } from './folders.ts'

describe('sha256OfFile()', () => {
  it('is that of FIPS 180-4 for "abc"', async () => {
    const path = join(await temporaryFolder(), 'abc')
    await writeFile(path, 'abc')
    expect(await sha256OfFile(path)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  it('reads a large file in a thread, to the same hash', async () => {
    const path = join(await temporaryFolder(), 'large')
    const content = Buffer.alloc((9 << 20) + 5, 'llmpress')
    await writeFile(path, content)
    expect(await sha256OfFile(path)).toBe(createHash('sha256').update(content).digest('hex'))
  })

  it('ends with the reason of its signal, and with RunError where there is nothing to read', async () => {
    const path = join(await temporaryFolder(), 'large')
    await writeFile(path, Buffer.alloc(9 << 20))
    const controller = new AbortController()
    const hash = sha256OfFile(path, controller.signal)
    controller.abort(new Error('enough'))
    await expect(hash).rejects.toThrow('enough')
    await expect(sha256OfFile(`${path}.not`)).rejects.toThrow(RunError)
  })
})
