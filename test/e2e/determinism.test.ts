import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

/** What a run leaves, by file name; without the two files that name the seconds it took. */
async function compress(output: string, recipe: string, threads: number): Promise<Map<string, Buffer>> {
  const flags = ['--num-calibration-samples', '12', '--max-seq-length', '128', '--threads', String(threads), '--quiet']
  const { code, stderr } = await runCli(['oneshot', TINY, '--recipe', recipe, '--output', output, ...flags])
  expect(stderr).not.toContain('error')
  expect(code).toBe(0)
  const names = (await readdir(output)).filter((name) => name !== 'llmpress-report.json' && name !== 'README.md').sort()
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(output, name))] as const)))
}

describe('llmpress oneshot', () => {
  test.each([
    { recipe: 'gptq-w4a16', others: [2, 3, 1] },
    { recipe: 'rtn-w8a8', others: [2] },
  ])('$recipe: the same bytes from any process with any number of threads', async ({ recipe, others }) => {
    const folder = await temporaryFolder()
    const first = await compress(join(folder, 'a'), recipe, 1)
    expect([...first.keys()]).toContain('model.safetensors')
    for (const [i, threads] of others.entries()) {
      const other = await compress(join(folder, `b${i}`), recipe, threads)
      expect([...other.keys()]).toEqual([...first.keys()])
      for (const [file, bytes] of first)
        expect(Buffer.compare(other.get(file) ?? Buffer.alloc(0), bytes), `${file}, ${threads} threads`).toBe(0)
    }
  })
})
