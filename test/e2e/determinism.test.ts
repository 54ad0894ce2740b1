import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { TINY } from './model-copy.ts'
import { runCli, startCli } from './run-cli.ts'

const FLAGS = ['--num-calibration-samples', '12', '--max-seq-length', '128', '--engine', 'wasm', '--quiet']

/** The SHA-256 of what a run leaves, by file name, as it says itself; without the card, which names seconds and folder. */
async function hashesOf(output: string): Promise<Record<string, string>> {
  const { files } = JSON.parse(await readFile(join(output, 'llmpress-report.json'), 'utf8')) as {
    files: { name: string; sha256: string }[]
  }
  return Object.fromEntries(files.filter(({ name }) => name !== 'README.md').map(({ name, sha256 }) => [name, sha256]))
}

/** Compresses in a process of its own, into those hashes. */
async function compress(output: string, recipe: string, threads: number): Promise<Record<string, string>> {
  const { code, stderr } = await runCli(['oneshot', TINY, '--recipe', recipe, '--output', output, '--threads', String(threads), ...FLAGS])
  expect(stderr).not.toContain('error')
  expect(code).toBe(0)
  return hashesOf(output)
}

describe('llmpress oneshot', () => {
  test.each([
    { recipe: 'gptq-w4a16', others: [2, 4, 1] },
    { recipe: 'rtn-w8a8', others: [2, 4] },
  ])('$recipe: the same SHA-256 from any process with any number of threads, stopped or not', async ({ recipe, others }) => {
    const folder = await temporaryFolder()
    const first = await compress(join(folder, 'a'), recipe, 1)
    expect(Object.keys(first)).toContain('model.safetensors')
    for (const [i, threads] of others.entries())
      expect(await compress(join(folder, `b${i}`), recipe, threads), `${threads} threads`).toEqual(first)
    // Stopped after the first layer, and gone on with by another process with other threads.
    const output = join(folder, 'stopped')
    const stopped = startCli(['oneshot', TINY, '--recipe', recipe, '--output', output, '--threads', '4', ...FLAGS], folder, {
      LLMPRESS_JOURNAL_SECONDS: '0.000001',
    })
    while (!existsSync(join(output, '.llmpress', 'journal.json')) && stopped.child.exitCode === null) await setTimeout(1)
    stopped.child.kill('SIGKILL')
    // On a fast machine it may have come through.
    const { code } = await stopped.result
    expect(code === 0 ? await hashesOf(output) : await compress(output, recipe, 2)).toEqual(first)
    expect(await runCli(['verify', output])).toMatchObject({ code: 0 })
  })
})
