import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { ModifierDefinition } from '../../src/modifiers/modifier.ts'
import { defineRecipe } from '../../src/recipe/define.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { shippedRecipes } from '../../src/recipe/source.ts'
import { RecipeError } from '../../src/util/errors.ts'

async function failure(source: string | object): Promise<RecipeError> {
  const error = await loadRecipe(source).catch((thrown: unknown) => thrown)
  if (error instanceof RecipeError) return error
  throw new Error(`expected a RecipeError, found ${String(error)}`)
}

async function names(source: string | object): Promise<string[]> {
  return (await loadRecipe(source)).modifiers.map(({ definition, options }) => `${definition.names[0]} ${options.scheme}`)
}

const ORACLES = new URL('../oracles/checkpoints/', import.meta.url)
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recipe-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

describe('loadRecipe: shapes', () => {
  test.each<[string, string | object]>([
    [
      'stages and groups of llm-compressor',
      'args: {x: 1}\nquant_stage:\n  run_type: oneshot\n  quant_modifiers:\n    GPTQModifier: {scheme: W4A16}\n',
    ],
    ['a group at the root', 'quant_modifiers:\n  GPTQModifier: {scheme: W4A16}\n'],
    ['a modifier at the root', 'GPTQModifier:\n  scheme: W4A16\n'],
    ['a modifier in a stage', 'a_stage:\n  GPTQModifier:\n    scheme: W4A16\n'],
    ['modifiers as a mapping in a stage', 'a_stage:\n  modifiers:\n    GPTQModifier: {scheme: W4A16}\n'],
    ['modifiers as a list', 'modifiers:\n- GPTQModifier: {scheme: W4A16}\n'],
    ['a group as a list', 'a_stage:\n  x_modifiers:\n  - GPTQModifier: {scheme: W4A16}\n'],
    ['a stage as a list', 'a_stage:\n- GPTQModifier: {scheme: W4A16}\n'],
    ['a stage as a list of groups', 'a_stage:\n- x_modifiers:\n    GPTQModifier: {scheme: W4A16}\n'],
    ['a list at the root', '- GPTQModifier: {scheme: W4A16}\n'],
    ['a merged stage with a number', 'default_stage_0:\n  default_modifiers:\n    GPTQModifier: {scheme: W4A16}\n'],
    ['a short name', 'gptq: {scheme: W4A16}'],
    ['JSON with tabs', '{\n\t"$schema": "x",\n\t"gptq": {\n\t\t"scheme": "W4A16"\n\t}\n}'],
    ['merge keys', 'gptq: {<<: {scheme: W4A16}}\n'],
    ['an object', defineRecipe({ modifiers: [{ GPTQModifier: { scheme: 'W4A16', ignore: ['lm_head'] } }] })],
  ])('%s', async (_, source) => {
    expect(await names(source)).toEqual(['GPTQModifier W4A16'])
  })

  test('several stages and groups act as one list, in order, with a class twice', async () => {
    const text =
      'a_stage:\n  x_modifiers:\n    rtn: {scheme: W8A8}\n  y_modifiers:\n    rtn: {scheme: W8A16}\nb_stage:\n  z_modifiers:\n    gptq: {scheme: W4A16}\n'
    expect(await names(text)).toEqual(['QuantizationModifier W8A8', 'QuantizationModifier W8A16', 'GPTQModifier W4A16'])
  })

  test('options are filled in and schemes resolved', async () => {
    const { modifiers } = await loadRecipe('gptq: {scheme: W4A16, ignore: lm_head}')
    expect(modifiers[0]?.options).toMatchObject({ targets: ['Linear'], ignore: 'lm_head', dampening_frac: 0.01 })
    expect(modifiers[0]?.schemes[0]?.scheme.weights?.group_size).toBe(128)
  })
})

describe('loadRecipe: sources', () => {
  test('every shipped recipe loads by its name and leaves lm_head alone', async () => {
    const shipped = await shippedRecipes()
    expect(shipped).toContain('gptq-w4a16')
    for (const name of shipped) {
      const recipe = await loadRecipe(name)
      expect(recipe.name).toBe(name)
      expect(recipe.text).toMatch(/^# yaml-language-server: \$schema=\.\.\/schemas\/recipe\.schema\.json\n# \S/)
      const quantizing = recipe.modifiers.filter(({ definition }) => definition.quantizes)
      expect(quantizing.map(({ options }) => options.ignore)).toEqual([['lm_head']])
    }
  })

  test.each([
    ['gptq-w4a16', { num_bits: 4, group_size: 128, symmetric: true }],
    ['gptq-w4a16-g64', { num_bits: 4, group_size: 64 }],
    ['gptq-w4a16-asym', { num_bits: 4, symmetric: false }],
    ['gptq-w3a16-g64', { num_bits: 3, group_size: 64 }],
    ['gptq-auto-group', { num_bits: 4, strategy: 'group', group_size: null }],
    ['rtn-w8a8', { num_bits: 8, strategy: 'channel' }],
    ['fp8-dynamic', { type: 'float', strategy: 'channel' }],
  ])('%s is what its name says', async (name, weights) => {
    expect((await loadRecipe(name)).modifiers[0]?.schemes[0]?.scheme.weights).toMatchObject(weights)
  })

  test('a preset name is plain rounding of all linears but lm_head, in any case', async () => {
    const recipe = await loadRecipe('w4a16')
    expect(recipe).toMatchObject({ name: 'W4A16', modifiers: [{ options: { targets: ['Linear'], ignore: ['lm_head'], scheme: 'W4A16' } }] })
    expect(parse(recipe.text)).toEqual({
      default_stage: { default_modifiers: { QuantizationModifier: { targets: ['Linear'], ignore: ['lm_head'], scheme: 'W4A16' } } },
    })
    await expect(loadRecipe('UNQUANTIZED')).rejects.toThrow(/UNQUANTIZED: not available in this version/)
  })

  test.each(['yaml', 'yml', 'json'])('a .%s file is named after itself and kept as it is', async (extension) => {
    const text = '{"gptq": {"scheme": "W4A16"}}\n'
    const path = await file(`mine.${extension}`, text)
    expect(await loadRecipe(path)).toMatchObject({ name: 'mine', text, file: path })
  })

  test('front matter of Markdown is read, with positions that count from the top of the file', async () => {
    const good = await file('card.md', '---\ngptq:\n  scheme: W4A16\n---\n# A model\n')
    expect(await loadRecipe(good)).toMatchObject({ name: 'card', text: 'gptq:\n  scheme: W4A16\n' })
    const bad = await file('bad.md', '\n---\ngptq:\n  schem: W4A16\n---\n')
    expect((await failure(bad)).position).toEqual({ file: bad, line: 4, column: 3 })
    await expect(loadRecipe(await file('none.md', '# A model\n'))).rejects.toThrow(/found no front matter/)
  })

  test('a missing file points to the shipped recipe of that name', async () => {
    await expect(loadRecipe('nowhere/gptq-w4a16.yaml')).rejects.toThrow(/no such file.*ask for "gptq-w4a16"/)
    await expect(loadRecipe('gptq-w4a61')).rejects.toThrow(/did you mean "gptq-w4a16".*neither a file/)
  })

  test('the text of an object reads back to the same modifiers', async () => {
    const shared = { num_bits: 4, group_size: 64 }
    const recipe = await loadRecipe({
      gptq: { config_groups: { a: { targets: ['Linear'], weights: shared }, b: { targets: ['lm_head'], weights: shared } } },
    })
    const again = await loadRecipe(recipe.text)
    expect(again.modifiers.map(({ options, schemes }) => ({ options, schemes }))).toEqual(
      recipe.modifiers.map(({ options, schemes }) => ({ options, schemes })),
    )
    await expect(loadRecipe({ gptq: { scheme: () => 'W4A16' } })).rejects.toThrow(/found a function at recipe\.gptq\.scheme/)
    await expect(loadRecipe({ gptq: new Map() })).rejects.toThrow(/found a Map at recipe\.gptq/)
  })

  test('the tags of enums and tuples that llm-compressor saves are plain values, every other tag is refused', async () => {
    const tagged = (tag: string) => `gptq: {scheme: W4A16, actorder: ${tag} [static], ignore: !!python/tuple [lm_head]}`
    const known = '!!python/object/apply:compressed_tensors.quantization.quant_args.ActivationOrdering'
    const [{ options }] = (await loadRecipe(tagged(known))).modifiers
    expect(options).toMatchObject({ actorder: 'static', ignore: ['lm_head'] })
    await expect(loadRecipe(tagged('!!python/object/apply:os.system'))).rejects.toThrow('found tag !!python/object/apply:os.system')
  })

  test('the recipes that llm-compressor wrote are taken unchanged', async () => {
    const folders = await readdir(ORACLES, { withFileTypes: true })
    const results = new Map<string, string>()
    for (const { name } of folders.filter((entry) => entry.isDirectory())) {
      const path = new URL(`${name}/recipe.yaml`, ORACLES)
      const text = await readFile(path, 'utf8')
      const outcome = await loadRecipe(text).then(
        ({ modifiers }) => modifiers.map(({ definition }) => definition.names[0]).join(),
        (error: Error) => error.message.split(',')[0] ?? '',
      )
      results.set(name, outcome)
    }
    expect(Object.fromEntries(results)).toEqual({
      'awq-w4a16-asym': 'AWQModifier,QuantizationModifier',
      'fp8-block': 'QuantizationModifier',
      'fp8-dynamic': 'QuantizationModifier',
      'fp8-kv-cache': 'QuantizationModifier',
      'fp8-static': 'QuantizationModifier',
      'gptq-w3a16-g64': 'GPTQModifier',
      'gptq-w4a16': 'GPTQModifier',
      'gptq-w4a16-no-actorder': 'GPTQModifier',
      'gptq-w8a16': 'GPTQModifier',
      mxfp4a16: 'QuantizationModifier',
      nvfp4: 'QuantizationModifier',
      nvfp4a16: 'QuantizationModifier',
      'rtn-w3a16-g64': 'QuantizationModifier',
      'rtn-w4a16': 'QuantizationModifier',
      'rtn-w4a16-asym': 'QuantizationModifier',
      'rtn-w4a16-g32': 'QuantizationModifier',
      'rtn-w8a16': 'QuantizationModifier',
      'rtn-w8a8': 'QuantizationModifier',
      'smoothquant-gptq-w8a8': 'SmoothQuantModifier,GPTQModifier',
    })
  })
})

describe('loadRecipe: errors', () => {
  test('an unknown option is told with line, column, nearest name and a caret', async () => {
    const path = await file(
      'typo.yaml',
      'quant_stage:\n  quant_modifiers:\n    GPTQModifier:\n      schem: W4A16\n      ignore: [lm_head]\n',
    )
    const error = await failure(path)
    expect(error.position).toEqual({ file: path, line: 4, column: 7 })
    expect(error.message).toContain('found key "schem" (did you mean "scheme"?), expected one of targets, ignore, scheme')
    expect(error.message).toContain('did you mean "scheme"?')
    expect(error.message).toContain('> 4 |       schem: W4A16\n    |       ^\n')
  })

  test('all mistakes are told at once, in the order of the text', async () => {
    const { message } = await failure('gptq:\n  scheme: W4A16\n  dampening_frac: -1\n  targets: 3\n  ignroe: [a]\n')
    const lines = [...message.matchAll(/recipe text>:(\d+):/g)].map((hit) => Number(hit[1]))
    expect(lines).toEqual([3, 4, 5])
    expect(message).toContain('dampening_frac: found -1, expected a number from 0 to 1')
    expect(message).toContain('targets: found 3, expected a text or a list')
  })

  test('a number that is none is one mistake, and called so', async () => {
    const { message } = await failure('smoothquant:\n  smoothing_strength: .nan\n')
    expect(message.match(/found NaN, expected a number from 0 to 1/g)).toHaveLength(1)
    expect(message).not.toContain('null')
  })

  test('an AWQ mapping without linears is refused', async () => {
    const { message } = await failure('awq:\n  mappings: [{smooth_layer: a, balance_layers: []}]\n')
    expect(message).toContain('mappings.0.balance_layers: found []')
  })

  test.each<[string, string, RegExp, number, number]>([
    ['an unknown modifier', 'a_stage:\n  b_modifiers:\n    GPTQModifer: {}\n', /did you mean "GPTQModifier"\?/, 3, 5],
    [
      'a modifier not built yet',
      'a_stage:\n  b_modifiers:\n    WandaPruningModifier: {}\n',
      /WandaPruningModifier: llm-compressor has it, this version has not/,
      3,
      5,
    ],
    ['a module', './my-modifier.js: {}\n', /recipes load no code/, 1, 1],
    ['an option beside its modifier', 'GPTQModifier:\nscheme: W4A16\n', /option of modifiers, expected it below one/, 2, 1],
    ['a scalar in a stage', 'a_stage:\n  run_typ: oneshot\n', /did you mean "run_type"\?/, 2, 3],
    ['a stage for training', 'a_stage:\n  run_type: train\n', /expected oneshot/, 2, 13],
    ['an empty stage', 'a_stage:\n', /a_stage: found nothing/, 1, 1],
    ['an empty group', 'a_stage:\n  b_modifiers: {}\n', /found no modifier/, 1, 1],
    ['an empty recipe', '\n', /found nothing/, 1, 1],
    ['a key twice', 'gptq: {scheme: W4A16}\ngptq: {scheme: W8A16}\n', /found key gptq twice.*use a list/, 2, 1],
    ['bad syntax', 'gptq: {scheme: W4A16\n', /Cannot read recipe/, 2, 1],
    ['a tag', 'gptq:\n  scheme: !!python/name:os.system x\n', /found tag !!python/, 2, 11],
    ['a placeholder', 'gptq:\n  scheme: $scheme\n', /placeholder "\$scheme"/, 2, 11],
    ['an eval', 'gptq:\n  dampening_frac: eval(0.1 * 2)\n', /placeholder "eval/, 2, 19],
    ['no scheme', 'a_modifiers:\n  gptq:\n', /found neither scheme nor config_groups/, 2, 3],
    ['an unknown preset', 'gptq:\n  scheme: W4A17\n', /did you mean "W4A16"\?/, 2, 11],
    [
      'a wrong number of bits',
      'gptq:\n  config_groups:\n    g:\n      targets: [Linear]\n      weights: {num_bits: 9}\n',
      /num_bits: found 9, expected 2 to 8/,
      5,
      27,
    ],
    [
      'a key deep in a group',
      'gptq:\n  config_groups:\n    g:\n      targets: [Linear]\n      weights: {num_bit: 4}\n',
      /did you mean "num_bits"\?/,
      5,
      17,
    ],
    ['the group of llm-compressor', 'gptq: {scheme: W4A16, group: x}\n', /found key "group"/, 1, 23],
    ['a pattern that is none', 'gptq:\n  scheme: W4A16\n  ignore: [lm_head, "re:("]\n', /Cannot use pattern "re:\("/, 3, 21],
  ])('%s', async (_, text, message, line, column) => {
    const error = await failure(text)
    expect(error.message).toMatch(message)
    expect(error.position).toEqual({ file: '<recipe text>', line, column })
  })

  test('aliases that expand without end are refused', async () => {
    const level = (name: string, of: string) => `${name}: &${name} [${Array(9).fill(`*${of}`).join(', ')}]\n`
    const bomb = `a: &a [x]\n${level('b', 'a')}${level('c', 'b')}${level('d', 'c')}${level('e', 'd')}`
    await expect(loadRecipe(bomb)).rejects.toThrow(/expected fewer than 100 aliases/)
    await expect(loadRecipe(`gptq: {scheme: W4A16} # ${'x'.repeat(1 << 20)}\n`)).rejects.toThrow(/expected at most 1048576/)
  })

  test('errorAt points at an option, and at its modifier where the option is a default', async () => {
    const { modifiers } = await loadRecipe('gptq:\n  scheme: W4A16\n  ignore:\n  - lm_head\n  - typo\n')
    expect(modifiers[0]?.errorAt(['ignore', 1], 'no such module').position).toEqual({ file: '<recipe text>', line: 5, column: 5 })
    expect(modifiers[0]?.errorAt(['targets', 0], 'no such module').position?.line).toBe(2)
  })

  test('any text at all gives a recipe or a RecipeError', async () => {
    const piece = fc.constantFrom(
      'gptq',
      'a_stage',
      'x_modifiers',
      ': ',
      '\n',
      '  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      'scheme',
      'W4A16',
      '&a',
      '*a',
      '!t',
      '"',
      "'",
      '#',
      '<<',
      '\t',
      '1',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        const outcome = await loadRecipe(`${pieces.join('')}\n`).catch((error: unknown) => error)
        expect(outcome instanceof RecipeError || (typeof outcome === 'object' && outcome !== null && 'modifiers' in outcome)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('loadRecipe: modifiers of your own', () => {
  const own: ModifierDefinition<{ strength: number }> = {
    names: ['HalveModifier', 'halve'],
    description: 'Halves weights.',
    schema: { type: 'object', properties: { strength: { type: 'number', default: 0.5 } }, additionalProperties: false },
    quantizes: false,
    needs: () => 'weights',
    create: () => ({ apply: async () => {} }),
  }

  test('definitions and modules given by the caller are found by name', async () => {
    const recipe = await loadRecipe('- halve\n- gptq: {scheme: W4A16}\n', { modifiers: [own] })
    expect(recipe.modifiers[0]).toMatchObject({ definition: own, options: { strength: 0.5 }, schemes: [] })
    const path = await file(
      'plugin.mjs',
      `export const modifier = { names: ['P'], description: '', schema: { type: 'object' }, quantizes: false, needs: () => 'weights', create: () => ({}) }`,
    )
    expect((await loadRecipe('P: {}', { modifiers: [path] })).modifiers[0]?.definition.names).toEqual(['P'])
  })

  test('a module without a modifier, and a name that is taken, are refused', async () => {
    const path = await file('empty.mjs', 'export const other = 1')
    await expect(loadRecipe('halve: {}', { modifiers: [path] })).rejects.toThrow(/found exports other, expected `modifier`/)
    await expect(loadRecipe('halve: {}', { modifiers: ['./not-there.js'] })).rejects.toThrow(/Cannot load modifier \.\/not-there\.js/)
    await expect(loadRecipe('halve: {}', { modifiers: [{ ...own, names: ['gptq'] }] })).rejects.toThrow(/name gptq is taken/)
  })
})
