import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { copyModel, editHeader, editWeights, folderWith, shardModel, tensorStart, WEIGHTS } from './model-copy.ts'
import { type CliResult, eventsOf, runCli } from './run-cli.ts'

interface Done {
  type: string
  record: { data: { rows: number }; warnings: string[] }
}

let dir: string
let model: string
let output: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'llmpress-bad-input-'))
  model = await copyModel(join(dir, 'tiny'))
  output = join(dir, 'out')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** Compresses `model` into `output` without progress, so that stderr holds messages only. */
function compress(...flags: string[]): Promise<CliResult> {
  return runCli(['oneshot', model, '--recipe', 'W4A16', '--output', output, '--quiet', ...flags])
}

async function recipeFile(text: string): Promise<string> {
  await writeFile(join(dir, 'recipe.yaml'), text)
  return join(dir, 'recipe.yaml')
}

/** One message that says all of `words`, no stack, no results, and no output folder. */
function expectRefusal({ code, stdout, stderr }: CliResult, ...words: (string | RegExp)[]): void {
  for (const word of words) expect(stderr).toMatch(word)
  expect(stderr.match(/^error:/gm)).toHaveLength(1)
  expect(stderr).toMatch(/^error: /)
  expect(stderr).not.toMatch(/^\s+at /m)
  expect(stdout).toBe('')
  expect(code).toBe(2)
  expect(existsSync(output)).toBe(false)
}

describe('oneshot: a model that cannot be used', () => {
  test('that is not there', async () => {
    model = join(dir, 'nowhere')
    expectRefusal(await compress(), 'nowhere')
  })

  test('whose weights are not there', async () => {
    await rm(join(model, WEIGHTS))
    expectRefusal(await compress(), 'model.safetensors')
  })

  test('whose weights are truncated', async () => {
    await editWeights(model, (bytes) => bytes.subarray(0, bytes.length - 1000))
    expectRefusal(await compress(), 'model.safetensors', /truncated|beyond|outside|end|bytes/)
  })

  test('whose weights end in the header', async () => {
    await editWeights(model, (bytes) => bytes.subarray(0, 100))
    expectRefusal(await compress(), 'model.safetensors')
  })

  test('whose header claims 2^60 bytes', async () => {
    await editWeights(model, (bytes) => {
      bytes.writeBigUInt64LE(2n ** 60n)
      return bytes
    })
    expectRefusal(await compress(), 'model.safetensors', '1152921504606846976')
  })

  test('with a tensor outside the file', async () => {
    await editHeader(model, (header) => {
      header['model.norm.weight'].data_offsets = [2 ** 40, 2 ** 40 + 256]
    })
    expectRefusal(await compress(), 'model.safetensors', 'model.norm.weight')
  })

  test('with tensors that overlap', async () => {
    await editHeader(model, (header) => {
      header['model.norm.weight'].data_offsets = header['model.layers.0.input_layernorm.weight'].data_offsets
    })
    expectRefusal(await compress(), 'model.safetensors', 'model.norm.weight', /overlap|tensor before it ends/)
  })

  test('whose index points out of its folder', async () => {
    await shardModel(model, (map) => {
      map['model.norm.weight'] = '../model-00001-of-00001.safetensors'
    })
    expectRefusal(await compress(), 'index.json', /\.\.\//)
  })

  test('whose index names a tensor that its file does not have', async () => {
    await shardModel(model, (map) => {
      map['model.layers.0.self_attn.w_proj.weight'] = 'model-00001-of-00001.safetensors'
    })
    expectRefusal(await compress(), 'model.layers.0.self_attn.w_proj.weight')
  })

  test('that lacks a tensor of its architecture', async () => {
    await editHeader(model, (header) => {
      header['model.layers.0.mlp.w_proj.weight'] = header['model.layers.0.mlp.up_proj.weight']
      delete header['model.layers.0.mlp.up_proj.weight']
    })
    expectRefusal(await compress(), 'model.layers.0.mlp.up_proj.weight')
  })

  test('with weights that are NaN', async () => {
    await editWeights(model, (bytes) => {
      bytes.writeUInt16LE(0x7fc0, tensorStart(bytes, 'model.layers.1.mlp.up_proj.weight') + 20)
      return bytes
    })
    expectRefusal(await compress(), 'model.layers.1.mlp.up_proj.weight', 'NaN', 'element 10')
  })

  test('of an architecture that is not known, where it must compute', async () => {
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object
    await writeFile(join(model, 'config.json'), JSON.stringify({ ...config, model_type: 'lama' }))
    expectRefusal(await compress('--recipe', await recipeFile('GPTQModifier: {scheme: W4A16, ignore: [lm_head]}\n')), 'lama', 'llama')
  })
})

describe('oneshot: a recipe that cannot be used', () => {
  test('that names an unknown modifier: where, and what was probably meant', async () => {
    const recipe = await recipeFile('default_stage:\n  default_modifiers:\n    GPTQModifer:\n      scheme: W4A16\n')
    expectRefusal(await compress('--recipe', recipe), 'GPTQModifer', /GPTQModifier/, 'recipe.yaml:3:5')
  })

  test('that is not there', async () => {
    expectRefusal(await compress('--recipe', join(dir, 'no.yaml')), 'no.yaml')
  })

  test('that is a folder: the recipe in it', async () => {
    await recipeFile('QuantizationModifier: {scheme: W4A16, ignore: [lm_head]}\n')
    expectRefusal(await compress('--recipe', dir), 'it is a folder, expected a file, such as ', join(dir, 'recipe.yaml'))
    expectRefusal(await compress('--recipe', model), /it is a folder, expected a file$/m)
  })

  test('that needs no data: a note that --dataset is not read', async () => {
    const { code, stderr } = await runCli(['oneshot', model, '--recipe', 'W4A16', '--output', output, '--dataset', 'nowhere.txt'])
    expect(stderr).toContain('note: the recipe needs no data, so that --dataset nowhere.txt is not read\n')
    expect(code).toBe(0)
  })

  test('whose target matches nothing: where, and what was probably meant', async () => {
    const recipe = await recipeFile('QuantizationModifier:\n  scheme: W4A16\n  targets: [model.layers.0.mlp.up_prj]\n')
    expectRefusal(await compress('--recipe', recipe), 'model.layers.0.mlp.up_prj', /"model\.layers\.0\.mlp\.up_proj"/, 'recipe.yaml:3:')
  })

  test('whose group size does not divide the width: the sizes that do', async () => {
    const weights = '{num_bits: 4, strategy: group, group_size: 96}'
    const recipe = await recipeFile(
      `QuantizationModifier:\n  ignore: [lm_head]\n  config_groups:\n    g:\n      targets: [Linear]\n      weights: ${weights}\n`,
    )
    expectRefusal(await compress('--recipe', recipe), '96', /128, 64, 32/, 'recipe.yaml:')
  })

  test('with an ignore entry that matches nothing under --strict', async () => {
    const recipe = await recipeFile('QuantizationModifier:\n  scheme: W4A16\n  ignore: [lm_head, lm_heads]\n')
    expectRefusal(await compress('--recipe', recipe, '--strict'), 'lm_heads', /"lm_head"/)
  })

  test('an ignore entry that matches nothing is a warning without --strict', async () => {
    const recipe = await recipeFile('QuantizationModifier:\n  scheme: W4A16\n  ignore: [lm_head, lm_heads]\n')
    const { code, stdout, stderr } = await runCli(['oneshot', model, '--recipe', recipe, '--output', output])
    expect(stderr.match(/^warning: .*lm_heads.*"lm_head"/gm)).toHaveLength(1)
    expect(stdout).toContain('lm_heads')
    expect(code).toBe(0)
  })
})

describe('oneshot: flags, output and data that cannot be used', () => {
  test.each([
    ['--threads', '0'],
    ['--num-calibration-samples', '-1'],
    ['--max-seq-length', '2e3'],
    ['--seed', '1.5'],
    ['--engine', 'cuda'],
  ])('%s %s: names the flag', async (flag, value) => {
    expectRefusal(await compress(flag, value), flag, value)
  })

  test('an unknown option: what was probably meant', async () => {
    expectRefusal(await compress('--overwrit'), '--overwrit', /--overwrite\b/)
  })

  test.each([
    [['oneshot', 'model', '--recipie', 'W4A16'], '--recipie', '--recipe'],
    [['plan', 'model', '--recip', 'W4A16'], '--recip', '--recipe'],
    [['generate', 'model', '--promt', 'x'], '--promt', '--prompt'],
    [['convert', 'model', '--fromat', 'gptq'], '--fromat', '--format'],
  ])('%j: the option that is not known, before the one that is missing', async (args, unknown, meant) => {
    const result = await runCli(args)
    expectRefusal(result, `unknown option '${unknown}'`, `Did you mean ${meant}?`)
    expect(result.stderr).not.toContain('not specified')
  })

  test('a required option that is missing is named', async () => {
    expectRefusal(await runCli(['oneshot', model]), "required option '-r, --recipe <recipe>' not specified")
  })

  test.each([
    ['--engine', 'wasn', 'wasm'],
    ['--format', 'gtpq', 'gptq'],
    ['--precision', 'bf16', null],
  ])('%s %s: the choices, and the one that was probably meant', async (flag, value, meant) => {
    const result = await compress(flag, value)
    expectRefusal(result, flag, `'${value}' is invalid. Allowed choices are `)
    if (meant === null) expect(result.stderr).not.toContain('did you mean')
    else expect(result.stderr).toContain(`(did you mean "${meant}"?)`)
  })

  test('an unknown command: what was probably meant', async () => {
    expectRefusal(await runCli(['oneshoot', model]), 'oneshoot', /oneshot\b/)
  })

  test('an output folder with something in it stays as it is', async () => {
    await folderWith(output, 'notes.txt', 'mine')
    const { code, stderr } = await compress()
    expect(stderr).toMatch(/^error: .*not empty.*notes\.txt.*--overwrite/)
    expect(code).toBe(2)
    expect(await readdir(output)).toEqual(['notes.txt'])
  })

  test('data for fewer rows than asked: a warning, and the rows used are recorded', async () => {
    await writeFile(join(dir, 'short.txt'), 'The quick brown fox jumps over the lazy dog. '.repeat(40))
    const flags = ['--dataset', join(dir, 'short.txt'), '--num-calibration-samples', '1000', '--max-seq-length', '64']
    const { code, stderr, stdout } = await runCli(['oneshot', model, '--recipe', 'gptq-w4a16', '--output', output, '--json', ...flags])
    expect(stderr).toMatch(/^warning: .* of the 1000 rows .*short\.txt/m)
    expect(code).toBe(0)
    const { data, warnings } = eventsOf<Done>(stdout).slice(-1)[0].record
    expect(data.rows).toBeGreaterThan(0)
    expect(data.rows).toBeLessThan(1000)
    expect(warnings).toHaveLength(1)
  })

  test('data for fewer rows than asked under --strict', async () => {
    await writeFile(join(dir, 'short.txt'), 'The quick brown fox jumps over the lazy dog. '.repeat(40))
    const flags = ['--dataset', join(dir, 'short.txt'), '--num-calibration-samples', '1000', '--max-seq-length', '64']
    expectRefusal(await compress('--recipe', 'gptq-w4a16', '--strict', ...flags), 'short.txt', '1000')
  })

  test('a dataset that is not there', async () => {
    expectRefusal(await compress('--recipe', 'gptq-w4a16', '--dataset', join(dir, 'no.jsonl'), '--max-seq-length', '64'), 'no.jsonl')
  })

  test('rows longer than the model has positions', async () => {
    expectRefusal(await compress('--recipe', 'gptq-w4a16', '--max-seq-length', '2048'), '2048', '256', '--max-seq-length')
  })
})
