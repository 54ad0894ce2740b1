import { describe, expect, test } from 'vitest'
import { serverProblems } from '../../src/servers/servers.ts'
import { LLAMA_8B, modelOf, SCHEMES } from './helpers.ts'

const { W4A16_G128, W8A8 } = SCHEMES
const attention = (...parts: string[]) => parts.map((part) => `model.layers.0.self_attn.${part}_proj`)

function errors(target: 'vllm' | 'sglang', changes: Parameters<typeof modelOf>[2]) {
  return serverProblems(target, modelOf(W4A16_G128, LLAMA_8B, changes)).filter(({ severity }) => severity === 'error')
}

describe('names', () => {
  test('a target of the class reaches fused linears', () => {
    expect(errors('vllm', {})).toEqual([])
    expect(errors('sglang', {})).toEqual([])
  })

  test('full names reach fused linears in vLLM, and in SGLang where the model class says what it fuses', () => {
    const names = [...attention('q', 'k', 'v', 'o'), ...['gate', 'up', 'down'].map((part) => `model.layers.0.mlp.${part}_proj`)]
    expect(errors('vllm', { targets: names })).toEqual([])
    expect(errors('sglang', { targets: names, config: { model_type: 'gemma2' } })).toEqual([])
    expect(errors('sglang', { targets: names })[0]?.message).toBe('SGLang finds qkv_proj neither in a target nor in "ignore"')
  })

  test('vLLM takes a head for uncompressed when only its class is a target, as was seen', () => {
    const head = { linears: { lm_head: W4A16_G128 }, ignore: [] }
    expect(errors('vllm', head)).toMatchObject([
      { modules: ['lm_head'], message: expect.stringContaining('"Linear" does not stand for it'), source: { evidence: 'run' } },
    ])
    expect(errors('sglang', head)).toMatchObject([{ modules: ['lm_head'] }])
    const named = { ...head, targets: ['Linear', 're:.*lm_head'] }
    expect(errors('vllm', named)).toEqual([])
    expect(errors('sglang', named)).toEqual([])
  })

  test('linears that are fused must have one scheme', () => {
    const [found] = errors('vllm', { linears: { k_proj: W8A8 } })
    expect(found).toMatchObject({ modules: attention('q', 'k', 'v'), message: expect.stringContaining('needs one scheme') })
    expect(errors('vllm', { linears: { k_proj: null } })).toHaveLength(1)
  })

  test('ignore must take out all or none of what is fused', () => {
    const part = { ignore: ['lm_head', ...attention('q')] }
    expect(errors('vllm', part)[0]?.message).toBe('vLLM fuses these linears into qkv_proj, of which "ignore" names only a part')
  })

  test('ignore of all linears of a fused layer is honoured by vLLM, and by SGLang where it knows what is fused', () => {
    const out = { linears: { q_proj: null, k_proj: null, v_proj: null }, ignore: ['lm_head', ...attention('q', 'k', 'v')] }
    expect(errors('vllm', out)).toEqual([])
    expect(errors('sglang', out)[0]?.message).toContain('gives qkv_proj a scheme, where it is not compressed')
    expect(errors('sglang', { ...out, config: { model_type: 'gemma2' } })).toEqual([])
  })

  test('a class in ignore is not honoured', () => {
    const out = { linears: { o_proj: null }, ignore: ['lm_head', 'Linear'] }
    expect(errors('vllm', out)[0]?.modules).toEqual(attention('o'))
  })

  test('of two targets the first in config.json wins', () => {
    const model = modelOf(W4A16_G128, LLAMA_8B, { targets: ['re:.*self_attn.*', 're:.*mlp.*'] })
    const second = { ...W8A8, targets: ['re:.*_proj'] }
    const problems = (groups: typeof model.groups) =>
      serverProblems('vllm', { ...model, groups }).filter(({ severity }) => severity === 'error')
    expect(problems([...model.groups, second])).toEqual([])
    expect(problems([second, ...model.groups])[0]?.message).toContain('the scheme of another group')
  })
})
