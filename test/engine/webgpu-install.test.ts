import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { webgpuFolder } from '../../src/engine/native-folder.ts'
import { installWebgpu } from '../../src/engine/webgpu-install.ts'
import { RunError, UserError } from '../../src/util/errors.ts'

describe('installWebgpu', () => {
  let cacheDir: string
  let bin: string
  beforeEach(async () => {
    bin = await mkdtemp(join(tmpdir(), 'llmpress-npm-'))
    cacheDir = await mkdtemp(join(tmpdir(), 'llmpress-webgpu-'))
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(cacheDir, { recursive: true })
    await rm(bin, { recursive: true })
  })

  /** An npm that installs a stand-in for Dawn whose adapter is the one given, for this platform and another. */
  const stubNpm = async (adapter: string) => {
    const own = process.platform === 'darwin' ? 'darwin-universal' : `${process.platform}-${process.arch}`
    const program = `export const create = () => ({ requestAdapter: async () => (${adapter}) })`
    await writeFile(
      join(bin, 'npm'),
      `#!/bin/sh
[ "$1" = install ] || exit 0
mkdir -p node_modules/webgpu/dist/${own} node_modules/webgpu/dist/amiga-m68k
echo '{ "name": "webgpu", "type": "module", "main": "index.js" }' > node_modules/webgpu/package.json
echo '${program}' > node_modules/webgpu/index.js
`,
    )
    await chmod(join(bin, 'npm'), 0o755)
    vi.stubEnv('PATH', `${bin}:${dirname(process.execPath)}:/usr/bin:/bin`)
    return own
  }

  it('puts what npm fetches into the cache folder, for this platform alone, and says which adapter it finds', async () => {
    const own = await stubNpm('{ info: { device: "Some GPU" } }')
    const lines: string[] = []
    const dir = webgpuFolder(cacheDir)
    expect(await installWebgpu({ cacheDir, log: (line) => lines.push(line) })).toEqual({ dir, adapter: 'Some GPU', already: false })
    expect(lines[0]).toMatch(/^Downloading webgpu@\S+ and @tensorflow\/tfjs-backend-webgpu@\S+ from npm$/)
    expect(await readdir(cacheDir)).toEqual([dir.slice(cacheDir.length + 1)])
    expect(await readdir(join(dir, 'node_modules', 'webgpu', 'dist'))).toEqual([own])
    expect(await installWebgpu({ cacheDir })).toEqual({ dir, adapter: 'Some GPU', already: true })
    expect(await installWebgpu({ cacheDir, force: true })).toMatchObject({ already: false })
  })

  it('is content without an adapter, which another driver may bring', async () => {
    await stubNpm('null')
    expect((await installWebgpu({ cacheDir })).adapter).toBeNull()
  })

  it('leaves nothing behind when what came does not load', async () => {
    await stubNpm('nonsense')
    const failure = installWebgpu({ cacheDir })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/Cannot install the webgpu engine: .*\n[\s\S]*nonsense is not defined/)
    expect(await readdir(cacheDir)).toEqual([])
  })

  it('names npm where it is missing', async () => {
    vi.stubEnv('PATH', join(cacheDir, 'nothing-here'))
    const failure = installWebgpu({ cacheDir })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow('Cannot install the webgpu engine: npm was not found')
  })

  it('stops when told to and leaves nothing behind', async () => {
    await stubNpm('null')
    const stop = new AbortController()
    const failure = installWebgpu({ cacheDir, signal: stop.signal, log: () => stop.abort(new Error('stopped by the test')) })
    await expect(failure).rejects.toThrow('stopped by the test')
    expect(await readdir(cacheDir)).toEqual([])
  })
})
