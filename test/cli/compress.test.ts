import { cp, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { addCompress } from '../../src/cli/compress.ts'
import { exitCodeOf } from '../../src/cli/exit.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { eventsOf } from '../e2e/run-cli.ts'
import { oracleFolder } from '../models/oracles.ts'
import { sameBytes } from '../oneshot/runs.ts'

const TYPES = ['FP8-W8A8', 'INT8-W8A16', 'INT8-W8A8', 'INT8-W8A16-RTN', 'INT4-W4A16', 'INT4-W4A16-AWQ']
const DATA = ['--num_calibration_samples', '8', '--max_sequence_length', '64', '--engine', 'wasm']

type Done = Extract<ProgressEvent, { type: 'done' }>

/** A copy of the tiny model in a folder of its own, and another folder for the time of the test to be the current one. */
async function tinyCopy(): Promise<{ model: string; cwd: string }> {
  const model = join(await temporaryFolder(), 'tiny')
  await cp(oracleFolder('tiny'), model, { recursive: true })
  const cwd = await temporaryFolder()
  const current = vi.spyOn(process, 'cwd').mockReturnValue(cwd)
  onTestFinished(() => current.mockRestore())
  return { model, cwd }
}

/** Runs the command in this process; gives what it printed to stdout. */
async function compress(...args: string[]): Promise<string> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} })
  addCompress(program)
  let printed = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text
    return true
  })
  onTestFinished(() => write.mockRestore())
  try {
    await program.parseAsync(['compress', ...args, '--quiet'], { from: 'user' })
  } finally {
    write.mockRestore()
  }
  return printed
}

/** The exit code and the message of a command that fails. */
async function failure(...args: string[]): Promise<{ code: number; message: string }> {
  const error = await compress(...args).then(
    () => new Error('it succeeded'),
    (reason: Error) => reason,
  )
  return { code: exitCodeOf(error), message: error.message }
}

describe('llmpress compress', () => {
  test.each(TYPES)('%s: writes ./{model name}-{compression_type}, and nothing beside the model', async (type) => {
    const { model, cwd } = await tinyCopy()
    const { record } = eventsOf<Done>(await compress('--model_id', model, '--compression_type', type, ...DATA, '--json')).slice(-1)[0]
    expect(record.output).toBe(join(cwd, `tiny-${type}`))
    expect(await readdir(dirname(model))).toEqual(['tiny'])
    expect(record.recipe.name).toBe(type)
    expect(record.linears).toHaveLength(14)
    expect(record.data === null).toBe(type === 'FP8-W8A8' || type === 'INT8-W8A16-RTN')
    if (record.data) expect(record.data).toMatchObject({ rows: 8, tokens: 512 })
    expect(await readdir(record.output)).toContain('model.safetensors')
  })

  test('is oneshot with the recipe of that name, with dashes and without', async () => {
    const { model, cwd } = await tinyCopy()
    const flags = [
      '--model-id',
      `${model}/`,
      '--compression-type',
      'int4-w4a16',
      '--num-calibration-samples',
      '8',
      '--max-sequence-length',
      '64',
    ]
    await compress(...flags, '--engine', 'wasm')
    const { output } = await oneshot({
      model,
      recipe: 'INT4-W4A16',
      output: join(await temporaryFolder(), 'out'),
      numCalibrationSamples: 8,
      maxSeqLength: 64,
      engine: 'wasm',
    })
    const [one, two] = await Promise.all(
      [join(cwd, 'tiny-INT4-W4A16'), output].map((folder) => readFile(join(folder, 'model.safetensors'))),
    )
    expect(sameBytes(one, two)).toBe(true)
  })

  test('--output takes another folder', async () => {
    const { model, cwd } = await tinyCopy()
    const output = join(cwd, 'elsewhere')
    await compress('--model_id', model, '--compression_type', 'FP8-W8A8', '--output', output)
    expect((await stat(join(output, 'config.json'))).isFile()).toBe(true)
  })

  test('an unknown type exits with 2, lists the legal ones and guesses', async () => {
    const { code, message } = await failure('--model_id', oracleFolder('tiny'), '--compression_type', 'INT4-W4A16-AQW')
    expect(code).toBe(2)
    for (const type of TYPES) expect(message).toContain(type)
    expect(message).toContain('did you mean "INT4-W4A16-AWQ"')
  })

  test('a recipe of another name is no type', async () => {
    expect((await failure('--model_id', oracleFolder('tiny'), '--compression_type', 'gptq-w4a16')).code).toBe(2)
  })

  test.each([
    [['--compression_type', 'FP8-W8A8'], /found no --model_id/],
    [['--model_id', 'model'], /found no --compression_type, expected one of FP8-W8A8/],
    [['--model_id', 'model', '--model-id', 'model', '--compression_type', 'FP8-W8A8'], /cannot be used with/],
    [['--model_id', 'model', '--compression_type', 'FP8-W8A8', '--num_calibration_samples', '0'], /whole number of at least 1/],
    [['--model_id', 'nowhere', '--compression_type', 'FP8-W8A8'], /nowhere/],
  ])('%j is wrong use', async (args, expected) => {
    const { code, message } = await failure(...args)
    expect(message).toMatch(expected)
    expect(code).toBe(2)
  })
})
