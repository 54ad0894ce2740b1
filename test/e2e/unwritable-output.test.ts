import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

const COMPRESSED = oracleFolder('checkpoints/rtn-w8a16')

/** Commands with the flag that names where they write. */
const WRITERS: readonly (readonly [string, (path: string) => string[]])[] = [
  ['oneshot', (path) => ['oneshot', TINY, '--recipe', 'W4A16', '--output', path]],
  ['compress', (path) => ['compress', '--model_id', TINY, '--compression_type', 'INT8-W8A16-RTN', '--output', path]],
  ['int8', (path) => ['int8', '--model_name', TINY, '--use_bnb', 'True', '--output', path]],
  ['plan', (path) => ['plan', TINY, '--recipe', 'W4A16', '--output', path]],
  ['convert', (path) => ['convert', COMPRESSED, '--format', 'gptq', '--output', path]],
  ['eval', (path) => ['eval', TINY, '--perplexity', 'docs-text', '--output_path', path]],
  ['bench', (path) => ['bench', TINY, '--output-path', path]],
  ['study', (path) => ['study', TINY, '-o', path]],
  ['weights', (path) => ['weights', TINY, '-o', path]],
  ['--profile', (path) => ['eval', TINY, '--perplexity', 'docs-text', '--profile', path]],
]

// /proc takes no files, and Node's mkdir never comes back there.
test.skipIf(!existsSync('/proc/self')).each(WRITERS)(
  '%s refuses an output in /proc, and does not hang',
  { timeout: 20_000 },
  async (_, args) => {
    const cwd = await temporaryFolder()
    const { code, stderr } = await runCli(args('/proc/nowhere/out'), cwd)
    expect(stderr).toMatch(/^error: Cannot write .*\/proc\/nowhere\/out/m)
    expect(stderr).not.toMatch(/layer 1|scoring|counting/)
    expect(code).toBe(2)
    expect(await readdir(cwd)).toEqual([])
  },
)

test.each(WRITERS)('%s refuses an output below a file', { timeout: 20_000 }, async (_, args) => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'file'), '')
  const { code, stderr } = await runCli(args(join(cwd, 'file', 'out')), cwd)
  expect(stderr).toMatch(/^error: Cannot write .*file.*out/m)
  expect(stderr).not.toMatch(/layer 1|scoring|counting/)
  expect(code).toBe(2)
  expect(await readdir(cwd)).toEqual(['file'])
})
