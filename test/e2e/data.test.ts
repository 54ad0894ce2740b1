import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

describe('data', () => {
  test('shows a row, the lengths, the languages and what is odd', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'rows.csv')
    await writeFile(
      file,
      `body\n${Array.from({ length: 30 }, (_, i) => `This is the sentence with the number ${i} of thirty.`).join('\n')}\n`,
    )
    const { code, stdout, stderr } = await runCli(['data', TINY, '--dataset', file, '--text-column', 'body', '--max-seq-length', '64'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('This is the sentence with the number 0 of thirty.')
    expect(stdout).toMatch(/Documents +30 documents, [\d,]+ tokens, 0 duplicates/)
    expect(stdout).toMatch(/Warnings\n {2}found \d+ of the 512 rows of 64 tokens/)
  })

  test('--json prints the survey', async () => {
    const { code, stdout } = await runCli(['data', TINY, '--num-calibration-samples', '4', '--max-seq-length', '32', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      source: 'mixed-text (built in)',
      rows: { count: 4, tokens: 128, shortest: 32, longest: 32 },
    })
  })

  test.each([
    ['a column that is not there', ['--text-column', 'body'], /rows\.jsonl:1: found text, expected a text under "body"/],
    ['a row that is empty', [], /rows\.jsonl:2: "text" holds an empty text/],
    ['a mode that is none', ['--rows', 'pad'], /--rows.*Allowed choices are pack, truncate/],
    ['a length beyond the context', ['--max-seq-length', '999'], /999 tokens: the model has 256 positions/],
  ])('refuses %s with exit code 2', async (_, flags, message) => {
    const file = join(await temporaryFolder(), 'rows.jsonl')
    await writeFile(file, '{"text": "one"}\n{"text": ""}\n')
    const { code, stdout, stderr } = await runCli(['data', TINY, '--dataset', file, ...flags])
    expect(stderr).toMatch(message)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })
})
