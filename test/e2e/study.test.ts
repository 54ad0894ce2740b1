import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Study } from '../../src/report/study.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { gpt2 } from '../eval/study/gpt2.ts'
import { runCli } from './run-cli.ts'

describe('llmpress study', () => {
  test('writes a page and a drawing into a folder named after the model, and prints what it found', async () => {
    const [model, cwd] = [await gpt2(), await temporaryFolder()]
    const before = await readdir(model)
    const { code, stdout, stderr } = await runCli(['study', model, '--windows', '1', '--window', '64'], cwd)
    const [first, ...steps] = stderr.split('\n')
    expect(code).toBe(0)
    expect(first).toMatch(/^\/.*: quantized by absmax and by zero-point, scored on docs-text, written to gpt2-study$/)
    expect(steps).toEqual(['counting weights', 'scoring the text', 'going on from the prompt', ''])
    expect(stdout).toContain('perplexity over 1 window of 64 tokens of docs-text')
    for (const label of ['original', 'absmax', 'zero-point']) expect(stdout).toContain(`== ${label}\nI have a dream`)
    expect(stdout).toMatch(/^(Zero-point|Absmax) lost less than/)
    expect(stdout).toContain('2 files of the model: SHA-256 the same before and after.')
    expect(await readdir(cwd)).toEqual(['gpt2-study'])
    expect((await readdir(join(cwd, 'gpt2-study'))).sort()).toEqual(['study.html', 'study.svg'])
    expect(await readdir(model)).toEqual(before)
    const svg = await readFile(join(cwd, 'gpt2-study', 'study.svg'), 'utf8')
    for (const text of ['original against absmax', 'original against zero-point', 'Count', 'Weight values']) expect(svg).toContain(text)
    // Blue, red and green.
    for (const colour of ['#2f6fd6', '#d63b2f', '#2e9e4f']) expect(svg).toContain(colour)
    const page = await readFile(join(cwd, 'gpt2-study', 'study.html'), 'utf8')
    expect(page.match(/(src|href)="(?!data:).*/g)).toBeNull()
    expect(page.match(/<\/script>/g)).toHaveLength(4)
  })

  test('--json has all of it and nothing else is on stdout', async () => {
    const [model, output] = [await gpt2(), join(await temporaryFolder(), 'out')]
    const text = join(output, '..', 'text.txt')
    await writeFile(text, 'A text that all three are scored on.\n')
    const args = [
      '--prompt',
      'I have',
      '--max-length',
      '20',
      '--top-k',
      '5',
      '--seed',
      '7',
      '--text',
      text,
      '-o',
      output,
      '--json',
      '--quiet',
    ]
    const { code, stdout, stderr } = await runCli(['study', model, ...args])
    expect(code).toBe(0)
    expect(stderr).not.toContain('counting')
    const found = JSON.parse(stdout) as Study & { written: string[] }
    expect(found.sampling).toEqual({ maxLength: 20, topK: 5, temperature: 1, seed: 7 })
    expect(found.models.map(({ name, newTokens }) => [name, newTokens <= 14])).toEqual([
      ['original', true],
      ['absmax', true],
      ['zero-point', true],
    ])
    expect(found.sizes.map(({ name }) => name)).toEqual(['original', 'absmax', 'zero-point', 'LLM.int8()'])
    expect(found.written.every((path) => existsSync(path))).toBe(true)
  })

  test('mistakes end with exit code 2 and leave no folder', async () => {
    const [model, cwd] = [await gpt2(), await temporaryFolder()]
    const long = await runCli(['study', model, '--prompt', 'x'.repeat(300)], cwd)
    expect({ code: long.code, stdout: long.stdout }).toEqual({ code: 2, stdout: '' })
    expect(long.stderr).toContain('the prompt has 300 tokens and the model 128 positions')
    expect((await runCli(['study', model, '--text', ''], cwd)).code).toBe(2)
    const within = await runCli(['study', model, '-o', join(model, 'config.json', 'study')], cwd)
    expect({ code: within.code, stdout: within.stdout }).toEqual({ code: 2, stdout: '' })
    expect(within.stderr).toMatch(/^error: Cannot write .*study: .*config\.json is a file, expected a folder/)
    await rm(join(model, 'tokenizer.json'))
    const { code, stderr } = await runCli(['study', model], cwd)
    expect(code).toBe(2)
    expect(stderr).toContain('tokenizer.json is missing')
    expect(await readdir(cwd)).toEqual([])
  })
})
