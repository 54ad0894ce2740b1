import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { addEval } from '../../src/cli/eval.ts'
import { exitCodeOf } from '../../src/cli/exit.ts'
import { refuseForeignOptions } from '../../src/cli/foreign-options.ts'
import { addInspect } from '../../src/cli/inspect.ts'
import { addOneshot } from '../../src/cli/oneshot.ts'

/** What the command line says to stderr before anything runs, and its exit code. */
async function refusal(...args: string[]): Promise<{ said: string; code: number }> {
  let said = ''
  const output = {
    writeErr: (text: string) => {
      said += text
    },
  }
  const program = new Command().exitOverride().configureOutput(output)
  for (const add of [addOneshot, addEval, addInspect]) add(program)
  for (const command of program.commands) command.exitOverride().configureOutput(output)
  refuseForeignOptions(program)
  const error = await program.parseAsync(args, { from: 'user' }).catch((thrown: unknown) => thrown)
  return { said, code: exitCodeOf(error) }
}

describe('refuseForeignOptions()', () => {
  const devices: [string, RegExp][] = [
    ['cuda', /'cuda' is invalid\. Here it is --engine gpu \(NVIDIA\) or --engine webgpu/],
    ['cuda:0', /--engine gpu/],
    ['CPU', /--engine native \(TensorFlow\) or --engine wasm/],
    ['auto', /--engine auto, which is the default/],
    ['mps', /--engine webgpu/],
    ['tpu', /--engine with auto, gpu, webgpu, native, wasm/],
  ]
  test.each(devices)('--device %s names the engine', async (device, expected) => {
    for (const command of ['oneshot', 'eval']) {
      const { said, code } = await refusal(command, './model', '--device', device)
      expect(said).toMatch(expected)
      expect(code).toBe(2)
    }
  })

  test('--dtype names what there is', async () => {
    expect((await refusal('oneshot', './model', '--dtype', 'float16')).said).toMatch(
      /'float16' is invalid\. The types of weights are those that the checkpoint stores.*--precision float32 or bfloat16/,
    )
  })

  test('--scheme and --quality say where they belong', async () => {
    expect((await refusal('oneshot', './model', '--scheme', 'W4A16')).said).toMatch(/Here a scheme is a recipe: --recipe W4A16\./)
    for (const [level, meant] of [
      ['best', 'best'],
      ['bset', 'best'],
      ['high', 'balanced'],
    ]) {
      const { said, code } = await refusal('oneshot', './model', '--recipe', 'W4A16', '--quality', level)
      expect(said).toContain(`'${level}' is invalid. Here it is an option of GPTQModifier in the recipe, one of fast, balanced, best`)
      expect(said).toContain(`quality: ${meant} }`)
      expect(code).toBe(2)
    }
    expect((await refusal('eval', './model', '--scheme', 'W4A16')).said).toMatch(/unknown option '--scheme'/)
  })

  test('a wrong engine or precision says what is expected', async () => {
    expect((await refusal('oneshot', './model', '--engine', 'cuda')).said).toMatch(/Allowed choices are auto, gpu, webgpu, native, wasm/)
    expect((await refusal('oneshot', './model', '--precision', 'float8')).said).toMatch(/Allowed choices are float32, bfloat16/)
  })

  test('a command that computes nothing does not know them', async () => {
    expect((await refusal('inspect', './model', '--device', 'cpu')).said).toMatch(/unknown option '--device'/)
  })
})
