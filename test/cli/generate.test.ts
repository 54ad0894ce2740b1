import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { exitCodeOf } from '../../src/cli/exit.ts'
import { addGenerate } from '../../src/cli/generate.ts'

const model = fileURLToPath(new URL('../../examples/models/docs-llama-4m', import.meta.url))
const FLAGS = ['--prompt', 'The compiler', '--greedy', '--max-new-tokens', '6', '--engine', 'wasm', '--threads', '1']

/** What a command printed, and how it ended. */
async function run(...args: string[]): Promise<{ out: string; err: string; error: unknown }> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} })
  addGenerate(program)
  const printed = { out: '', err: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      printed[name === 'stdout' ? 'out' : 'err'] += text
      return true
    }),
  )
  try {
    const error = await program.parseAsync(['generate', ...args], { from: 'user' }).then(
      () => null,
      (reason: unknown) => reason,
    )
    return { ...printed, error }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

describe('llmpress generate', () => {
  afterEach(() => {
    process.exitCode = undefined
  })

  test('prints the prompt and what follows it, and the figures beside', async () => {
    const { out, err, error } = await run(model, ...FLAGS)
    expect(error).toBeNull()
    expect(out).toMatch(/^The compiler .*\n$/s)
    expect(err).toMatch(/6 tokens after 2 tokens, .* a second, cut; first after .*; 8\.4 MB of weights read in/)
    const quiet = await run(model, ...FLAGS, '--quiet')
    expect(quiet).toEqual({ out, err: '', error: null })
  })

  test('several checkpoints go on from one prompt; one that fails does not stop the rest', async () => {
    const { out, err, error } = await run(model, 'no-such-folder', model, ...FLAGS)
    expect(error).toBeNull()
    expect(process.exitCode).toBe(2)
    expect(out.match(/^== /gm)).toHaveLength(3)
    expect(out.match(/The compiler /g)).toHaveLength(2)
    expect(err).toContain('error: no-such-folder: ')
    expect(err).toContain(`${model}: the same 6 tokens as ${model}`)
    const { out: json } = await run(model, 'no-such-folder', ...FLAGS, '--json', '--quiet')
    const { prompt, results } = JSON.parse(json)
    expect(prompt).toBe('The compiler')
    expect(results).toHaveLength(2)
    expect(results[0]).toMatchObject({ checkpoint: model, newTokens: 6, promptTokens: 2, finish: 'length' })
    expect(results[1].error).toContain('no-such-folder')
  })

  test.each([
    [['--temperature', '0'], 'above 0'],
    [['--top-p', '1.5'], 'at most 1'],
    [['--top-k', '-1'], 'whole number'],
    [['--max-new-tokens', '0'], 'whole number'],
    [['--max-length', '2'], 'maxLength and maxNewTokens'],
    [['--top-k', '5'], 'greedy and topK'],
    [['--system', 'Be kind'], '--system without --chat'],
    [['--chat'], 'no chat template'],
  ])('refuses %j with exit code 2', async (flags, message) => {
    const { out, error } = await run(model, ...FLAGS, ...flags)
    expect(exitCodeOf(error)).toBe(2)
    expect((error as Error).message).toContain(message)
    expect(out).toBe('')
  })
})
