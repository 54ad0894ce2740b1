import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

test('eval warns of a text that is too short for one window and names the window it scored', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'llmpress-eval-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const text = join(dir, 'short.txt')
  await writeFile(text, 'Thirty-two bytes, not one more.\n')
  const { code, stdout, stderr } = await runCli(['eval', TINY, '--perplexity', text, '--window', '256'])
  expect(code).toBe(0)
  expect(stderr).toMatch(/^warning: .*short\.txt has \d+ tokens, fewer than one row of 256: one shorter row is used$/m)
  const [, tokens, window] = /: (\d+) tokens in 1 window of (\d+),/.exec(stdout) ?? []
  expect(Number(window)).toBe(Number(tokens) + 1)
})
