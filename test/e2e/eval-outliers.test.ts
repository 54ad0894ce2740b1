import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Evaluation } from '../../src/index.ts'
import { folderOf } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { runCli } from './run-cli.ts'

/** What bitsandbytes took out of the inputs of each linear, by make_bitsandbytes.py. */
async function theirs(): Promise<{ input_ids: number[][]; columns: Record<string, number> }> {
  return JSON.parse(await readFile(join(oracleFolder('bitsandbytes/int8'), 'outliers.json'), 'utf8'))
}

test('LLM.int8 from the command line: eval says how many columns were left in 16 bits, those that bitsandbytes leaves', {
  timeout: 300_000,
}, async () => {
  const { input_ids: rows, columns } = await theirs()
  const text = rows.map((ids) => `${JSON.stringify({ input_ids: ids })}\n`).join('')
  const folder = await folderOf({ 'rows.jsonl': text })
  const output = join(folder, 'out')
  const made = await runCli([
    'oneshot',
    oracleFolder('bitsandbytes/original'),
    '-r',
    'llm-int8',
    '--output',
    output,
    '--quiet',
    '--engine',
    'wasm',
  ])
  expect(made).toMatchObject({ code: 0 })
  const flags = ['--perplexity', join(folder, 'rows.jsonl'), '--quiet', '--engine', 'wasm']
  const told = await runCli(['eval', output, ...flags])
  const left = Object.entries(columns).filter(([, count]) => count > 0)
  const total = left.reduce((sum, [, count]) => sum + count, 0)
  expect(total).toBeGreaterThan(10)
  expect(told.stdout).toContain(
    `LLM.int8 left ${total} of ${6 * 64 + 320} columns of inputs in 16 bits, those with a magnitude of 6 or more, in ${left.length} linears;`,
  )
  const { stdout } = await runCli(['eval', output, '--against', oracleFolder('bitsandbytes/original'), '--json', ...flags])
  const { models } = JSON.parse(stdout) as Evaluation
  const { outliers } = models.find(({ outliers }) => outliers) ?? {}
  expect(outliers).toEqual({ threshold: 6, columns: total, of: 6 * 64 + 320, linears: Object.fromEntries(left) })
})
