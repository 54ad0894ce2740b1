import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { findTangle, parseYaml } from '../../src/recipe/yaml.ts'
import { RecipeError } from '../../src/util/errors.ts'

function refusal(text: string): RecipeError {
  try {
    parseYaml(text, 'r.yaml')
  } catch (error) {
    if (error instanceof RecipeError) return error
    throw error
  }
  throw new Error('expected a RecipeError')
}

describe('parseYaml()', () => {
  test('points at an alias that contains itself', () => {
    const { message, position } = refusal('rtn: &r {scheme: W4A16, ignore: *r}\n')
    expect(message).toMatch(/found a value that contains itself/)
    expect(position).toMatchObject({ line: 1, column: 33 })
  })

  test('refuses a merge with itself in its own words', () => {
    expect(refusal('rtn: &r {<<: *r, scheme: W4A16}\n').message).toMatch(/found aliases that expand too often or contain themselves/)
  })

  test.each([
    ['[', '['.repeat(20_000), 65],
    ['{a: ', '{a: '.repeat(20_000), 4 * 64 + 1],
    ['- ', `${'- '.repeat(20_000)}a`, 129],
  ])('refuses 20000 levels of %j at the first one too many', (_, text, column) => {
    const { message, position } = refusal(text)
    expect(message).toMatch(/found more than 64 levels/)
    expect(message.length).toBeLessThan(500)
    expect(position).toEqual({ file: 'r.yaml', line: 1, column })
  })

  test('refuses a thousand levels over as many lines', () => {
    const text = Array.from({ length: 1300 }, (_, level) => `${' '.repeat(level)}a:`).join('\n')
    expect(refusal(text).message).toMatch(/found more than 64 levels/)
  })

  test('takes 64 levels', () => {
    expect(findTangle(parseYaml(`${'['.repeat(64)}1${']'.repeat(64)}`, 'r.yaml').value)).toBeNull()
    expect(refusal(`${'['.repeat(65)}1${']'.repeat(65)}`).message).toMatch(/more than 64 levels/)
  })

  test('reads what yaml writes, however it is nested', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        // `stringify` writes this key bare, which is a merge here as it is in PyYAML; see the next test.
        fc.pre(!JSON.stringify(value).includes('"<<"'))
        const text = stringify(value, { aliasDuplicateObjects: false })
        const canonical = (given: unknown) => JSON.parse(JSON.stringify(given)) as unknown
        expect(canonical(parseYaml(text, 'r.yaml').value)).toEqual(canonical(value))
      }),
    )
  })

  test('merges at a bare <<, and takes a quoted one for a key', () => {
    expect(parseYaml('base: &base {a: 1}\nb:\n  <<: *base\n  c: 2\n', 'r.yaml').value).toEqual({ base: { a: 1 }, b: { a: 1, c: 2 } })
    expect(parseYaml('"<<": {a: 1}\n', 'r.yaml').value).toEqual({ '<<': { a: 1 } })
  })

  test.each(['a: 1\n---\nb: 2\n', 'a: 1\n...\nb: 2\n'])('refuses a second document in its own words: %j', (text) => {
    const { message } = refusal(text)
    expect(message).toMatch(/found a second YAML document/)
    expect(message).not.toContain('parseAllDocuments')
  })

  test('shows of a long line 120 characters around the caret', () => {
    const before = `{modifiers: {${' '.repeat(5000)}`
    const { message, position } = refusal(`${before}!!python/x 1${' '.repeat(5000)}}}`)
    expect(position?.column).toBe(before.length + 1)
    const [, source, caret] = message.split('\n')
    expect(source.length).toBeLessThan(130)
    expect(source.slice(caret.indexOf('^'))).toMatch(/^!!python/)
  })
})

describe('loadRecipe()', () => {
  test('refuses an object that contains itself, and says where', async () => {
    const options: Record<string, unknown> = { scheme: 'W4A16' }
    options.ignore = ['lm_head', options]
    const failure = loadRecipe({ QuantizationModifier: options })
    await expect(failure).rejects.toThrow(RecipeError)
    await expect(failure).rejects.toThrow('found a value that contains itself at recipe.QuantizationModifier.ignore.1')
  })

  test('takes an object that is used twice', async () => {
    const weights = { num_bits: 4, group_size: 32, strategy: 'group' }
    const groups = { a: { targets: ['re:.*q_proj'], weights }, b: { targets: ['re:.*k_proj'], weights } }
    expect((await loadRecipe({ QuantizationModifier: { config_groups: groups } })).modifiers[0].schemes).toHaveLength(2)
  })

  test('shows of a thousand mistakes the first eleven', async () => {
    const targets = Array.from({ length: 1000 }, (_, i) => i)
    const error = await loadRecipe({ QuantizationModifier: { scheme: 'W4A16', targets } }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RecipeError)
    expect((error as RecipeError).message.length).toBeLessThan(5000)
    expect((error as RecipeError).message).toMatch(/and \d+ more$/)
  })

  test('refuses an added modifier that is none', async () => {
    await expect(loadRecipe('W4A16', { modifiers: [{} as never] })).rejects.toThrow(/expected what defineModifier gives/)
  })
})
