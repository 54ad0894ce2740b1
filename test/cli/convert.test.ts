import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { addConvert } from '../../src/cli/convert.ts'
import { exitCodeOf } from '../../src/cli/exit.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { CALIBRATION } from '../oneshot/runs.ts'

useEngine('wasm')

/** Runs the command in this process; gives what it printed to stdout. */
async function convert(...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} })
  addConvert(program)
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} })
  let printed = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text
    return true
  })
  onTestFinished(() => write.mockRestore())
  try {
    await program.parseAsync(['convert', ...args, '--quiet'], { from: 'user' })
  } finally {
    write.mockRestore()
  }
  return printed
}

const ORIGINAL = oracleFolder('checkpoints/rtn-w4a16-g32')

describe('llmpress convert', () => {
  test('writes the other format, says so, and the model scores to the digit what it scored', async () => {
    const output = join(await temporaryFolder(), 'out')
    const printed = await convert(ORIGINAL, '--format', 'gptq', '--output', output)
    expect(printed).toContain(`compressed-tensors -> gptq: ${output}`)
    expect(printed).toMatch(/14 linears, .* -> .*, all codes read back as they were/)
    const score = async (folder: string) => (await perplexity(folder, { dataset: CALIBRATION, window: 64, engine: 'wasm' })).perplexity
    expect(await score(output)).toBe(await score(ORIGINAL))
  })

  test('prints one JSON document', async () => {
    const output = join(await temporaryFolder(), 'out')
    const record = JSON.parse(await convert(ORIGINAL, '--format', 'awq', '--output', output, '--json'))
    expect(record).toMatchObject({ from: 'compressed-tensors', format: 'awq', output })
    expect(record.linears).toHaveLength(14)
    expect((await readdir(output)).sort()).toEqual(
      [...record.files.map(({ name }: { name: string }) => name), 'llmpress-report.json'].sort(),
    )
  })

  test('is wrong use without a format, with another, and where the codes do not fit', async () => {
    const output = join(await temporaryFolder(), 'out')
    for (const args of [[ORIGINAL], [ORIGINAL, '--format', 'gguf'], [oracleFolder('checkpoints/rtn-w8a16'), '--format', 'awq']]) {
      const failure = await convert(...args, '--output', output).catch((error: unknown) => error)
      expect(exitCodeOf(failure)).toBe(2)
    }
  })
})
