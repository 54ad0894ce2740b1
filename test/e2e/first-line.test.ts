import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { TINY } from './model-copy.ts'
import { said, startCli } from './run-cli.ts'

const TEXT = ['--perplexity', 'docs-text', '--windows', '1', '--window', '32', '--engine', 'wasm']

/** Commands that take their time, with the line that they begin with. */
const COMMANDS: readonly (readonly [string, string[], string])[] = [
  [
    'study',
    ['study', TINY, '--windows', '1'],
    `${TINY}: quantized by absmax and by zero-point, scored on docs-text, written to tiny-study`,
  ],
  ['weights', ['weights', TINY], `${TINY}: reading all weights, quantizing them to eight bits to compare`],
  ['eval', ['eval', TINY, ...TEXT], `${TINY}: scoring on docs-text`],
  ['eval of several', ['eval', TINY, `${TINY}/`, ...TEXT], `${TINY}, ${TINY}/: scoring on docs-text`],
  ['recommend', ['recommend', TINY], `${TINY}: weighing recipes by its config.json`],
]

describe('the first line on stderr says what is being done', () => {
  test.each(COMMANDS)('%s', async (_, args, line) => {
    const started = startCli(args, await temporaryFolder())
    await said(started, `${line}\n`)
    // Before anything is found.
    const { stdout, stderr } = started.output()
    expect(stdout).toBe('')
    expect(stderr.startsWith(`${line}\n`)).toBe(true)
    started.child.kill()
    await started.result
  })
})
