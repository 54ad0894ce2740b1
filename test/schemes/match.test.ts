import { describe, expect, test } from 'vitest'
import { matchTargets, pythonRegExp } from '../../src/schemes/match.ts'

const linears = ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj']
const modules = [
  { name: 'model.embed_tokens', className: 'Embedding' },
  ...[0, 1].flatMap((layer) => linears.map((linear) => ({ name: `model.layers.${layer}.${linear}`, className: 'Linear' }))),
  { name: 'lm_head', className: 'Linear' },
]
const scheme = (...targets: string[]) => ({ targets })

describe('matchTargets', () => {
  test('a class matches its modules, Module all of them, and ignored ones are left out', () => {
    expect([...matchTargets(modules, [scheme('Linear')], ['lm_head']).assigned.keys()]).toEqual(
      modules.slice(1, -1).map(({ name }) => name),
    )
    expect(matchTargets(modules, [scheme('Module')], []).assigned.size).toBe(modules.length)
    expect([...matchTargets(modules, [scheme('Embedding')], []).assigned.keys()]).toEqual(['model.embed_tokens'])
    expect(matchTargets(modules, [scheme('Module')], ['Linear']).assigned.size).toBe(1)
  })

  test('names match in full only, and patterns from the start of the name', () => {
    expect(matchTargets(modules, [scheme('q_proj')], []).assigned.size).toBe(0)
    expect(matchTargets(modules, [scheme('re:q_proj')], []).assigned.size).toBe(0)
    expect(matchTargets(modules, [scheme('re:.*q_proj')], []).assigned.size).toBe(2)
    expect(matchTargets(modules, [scheme('re:model.layers.1')], []).assigned.size).toBe(5)
    expect(matchTargets(modules, [scheme('re:lm_head|.*0\\.mlp\\.up_proj$')], []).assigned.size).toBe(2)
  })

  test('exact names go before patterns before classes, whatever the order of the schemes', () => {
    const exact = 'model.layers.0.mlp.gate_proj'
    const { assigned } = matchTargets(modules, [scheme('Linear'), scheme('re:.*mlp.*'), scheme(exact)], [])
    expect(assigned.get(exact)).toBe(2)
    expect(assigned.get('model.layers.1.mlp.gate_proj')).toBe(1)
    expect(assigned.get('lm_head')).toBe(0)
  })

  test('among patterns the alphabet decides, as in compressed-tensors: re:.*gate_proj beats re:.*mlp.*', () => {
    const { assigned } = matchTargets(modules, [scheme('re:.*mlp.*'), scheme('re:.*gate_proj')], [])
    expect(assigned.get('model.layers.0.mlp.gate_proj')).toBe(1)
    expect(assigned.get('model.layers.0.mlp.up_proj')).toBe(0)
  })

  test('a target in two schemes belongs to the later one', () => {
    expect(new Set(matchTargets(modules, [scheme('Linear'), scheme('Linear')], []).assigned.values())).toEqual(new Set([1]))
  })

  test('targets and ignores without a match are told, with what was probably meant', () => {
    const found = matchTargets(
      modules,
      [scheme('Linear', 'q_proj'), scheme('linear', 'model.layers.0.mlp.gate_prj')],
      ['lm_haed', 're:nothing'],
    )
    expect(found.unmatchedTargets).toEqual([
      { pattern: 'q_proj', scheme: 0, index: 1, nearest: 're:.*\\.q_proj$' },
      { pattern: 'linear', scheme: 1, index: 0, nearest: 'Linear' },
      { pattern: 'model.layers.0.mlp.gate_prj', scheme: 1, index: 1, nearest: 'model.layers.0.mlp.gate_proj' },
    ])
    expect(found.unmatchedIgnores).toEqual([
      { pattern: 'lm_haed', scheme: null, index: 0, nearest: 'lm_head' },
      { pattern: 're:nothing', scheme: null, index: 1, nearest: undefined },
    ])
  })

  test('a pattern with nested repetition ends in an error, not in a hang', () => {
    const long = [{ name: `${'a'.repeat(60)}!`, className: 'Linear' }]
    expect(() => matchTargets(long, [scheme('re:(a+)+$')], [])).toThrow(/Cannot use pattern "re:\(a\+\)\+\$": no answer/)
  })
})

describe('pythonRegExp', () => {
  test.each([
    ['(?P<layer>\\d+)\\.(?P=layer)', '7.7', true],
    ['(?P<layer>\\d+)\\.(?P=layer)', '7.8', false],
    ['a|b', 'xb', false],
    ['\\Amlp\\Z', 'mlp', true],
    ['\\Amlp\\Z', 'mlp.x', false],
    ['(?i)MLP', 'mlp', true],
    ['[(?P<]x', '?x', true],
    ['Mlp', 'mlp', false],
  ])('%s on %s gives %s, as re.match does', (pattern, name, matches) => {
    expect(pythonRegExp(pattern).test(name)).toBe(matches)
  })

  test('names a pattern that is none', () => {
    expect(() => pythonRegExp('(q_proj')).toThrow(/Cannot use pattern "re:\(q_proj"/)
    expect(() => pythonRegExp('a'.repeat(2000))).toThrow(/2000 characters/)
  })
})
