import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { TINY } from './model-copy.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'llmpress-examples-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function runExample(name: string, ...args: string[]): Promise<string> {
  const file = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url))
  const env = { ...process.env, LLMPRESS_CACHE: join(dir, 'no-cache') }
  return (await promisify(execFile)(process.execPath, [file, ...args], { env })).stdout
}

describe('examples', () => {
  test('api.js compresses with progress', async () => {
    const output = join(dir, 'api')
    expect(await runExample('api.js', TINY, output)).toMatch(/^673024 -> 235488 bytes in .*\nlargest error: model\.layers\./)
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('custom-modifier.js writes scales that are powers of two, with the errors it reports', async () => {
    const output = join(dir, 'power-of-two')
    const stdout = await runExample('custom-modifier.js', TINY, output)
    const { linears, problems } = await verify(output, { against: TINY })
    expect(problems).toEqual([])
    for (const { name, error } of linears) {
      if (error !== null) expect(stdout).toContain(`${name}  power of two  ${(100 * error).toFixed(2)} %`)
    }
  })
})
