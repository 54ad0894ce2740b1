import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { installNative } from '../../src/engine/native-install.ts'
import { UserError } from '../../src/util/errors.ts'

describe('installNative', () => {
  let cacheDir: string
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'llmpress-install-'))
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(cacheDir, { recursive: true })
  })

  it('names every missing tool before it downloads anything', async () => {
    vi.stubEnv('PATH', join(cacheDir, 'nothing-here'))
    const failure = installNative({ cacheDir })
    await expect(failure).rejects.toThrow(UserError)
    if (process.platform === 'linux') await expect(failure).rejects.toThrow(/not found: npm .*; python3 .*; pip for python3 .*; g\+\+ /)
    expect(await readdir(cacheDir)).toEqual([])
  })

  it('stops when told to and leaves nothing behind', async () => {
    const stop = new AbortController()
    const failure = installNative({ cacheDir, signal: stop.signal, log: () => stop.abort(new Error('stopped by the test')) })
    await expect(failure).rejects.toThrow()
    expect(await readdir(cacheDir)).toEqual([])
  })
})
