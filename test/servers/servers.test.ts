import { describe, expect, test } from 'vitest'
import { servedCheckpoint } from '../../src/eval/served-checkpoint.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { plannedModel } from '../../src/oneshot/planned-model.ts'
import type { ServedLinear } from '../../src/servers/server.ts'
import { hardware, servedBy, serverProblems, targetVersion } from '../../src/servers/servers.ts'
import { TARGETS } from '../../src/servers/targets.ts'
import { oracleFolder } from '../models/oracles.ts'
import { openForTest } from '../oneshot/runs.ts'
import { LLAMA_8B, modelOf, SCHEMES, SMOLLM2_135M } from './helpers.ts'

type Name = keyof typeof SCHEMES

/** Messages of a severity. */
function said(target: (typeof TARGETS)[number], name: Name, severity: string, sizes = SMOLLM2_135M): string[] {
  return serverProblems(target, modelOf(SCHEMES[name], sizes)).flatMap((finding) =>
    finding.severity === severity ? [finding.message] : [],
  )
}

describe('vLLM 0.32 on a CPU, as it was run with SmolLM2-135M', () => {
  test.each<Name>(['W8A8', 'FP8_DYNAMIC', 'W4A16_G64', 'W4A16_G64_ASYM', 'W4A16_CHANNEL'])('serves %s', (name) => {
    expect(hardware('vllm', modelOf(SCHEMES[name], SMOLLM2_135M))).toContain('CPU')
    expect(said('vllm', name, 'error')).toEqual([])
  })

  test.each<[Name, RegExp]>([
    ['W8A16_G64', /runs on GPU sm75\+ \(Marlin\); not on CPU: CPUs have integer kernels for 4 bits only, found 8/],
    ['W3A16_G64', /runs on GPU sm75\+ \(Humming\); not on CPU: CPUs have integer kernels for 4 bits only, found 3/],
    ['NVFP4A16', /not on CPU: Marlin FP4 is not available/],
  ])('has no kernel for %s', (name, reason) => {
    expect(hardware('vllm', modelOf(SCHEMES[name], SMOLLM2_135M))).toEqual([expect.stringMatching(/^GPU sm75\+$/)])
    expect(said('vllm', name, 'info')).toContainEqual(expect.stringMatching(reason))
  })

  test.each(['vllm', 'sglang'] as const)('FP8_BLOCK is refused by %s: blocks span two fused linears', (target) => {
    const errors = serverProblems(target, modelOf(SCHEMES.FP8_BLOCK, SMOLLM2_135M)).filter(({ severity }) => severity === 'error')
    expect(errors).toMatchObject([
      {
        modules: [0, 1, 2].map((i) => `model.layers.0.self_attn.${'qkv'[i]}_proj`),
        message: expect.stringContaining('576 is not divisible by the 128'),
      },
    ])
    expect(said(target, 'FP8_BLOCK', 'error', LLAMA_8B)).toEqual([])
  })

  test('every finding says where its rule stands, and what was run says so', () => {
    const sources = serverProblems('vllm', modelOf(SCHEMES.W8A16_G64, SMOLLM2_135M)).map(({ source }) => source)
    expect(sources).toContainEqual({
      version: 'vLLM 0.32.0',
      where: 'vllm/model_executor/kernels/linear/mixed_precision/cpu.py: CPUWNA16LinearKernel.can_implement',
      evidence: 'run',
    })
  })
})

describe('hardware', () => {
  test.each<[Name, string[], string[]]>([
    ['W4A16_G128', ['GPU sm75+', 'CPU'], ['GPU sm80+']],
    ['W8A16_G64', ['GPU sm75+'], ['GPU sm80+']],
    ['W8A16_G64_ASYM', ['GPU sm75+'], []],
    ['W3A16_G64', ['GPU sm75+'], []],
    ['GPTQ', ['GPU sm75+', 'CPU'], ['GPU sm80+']],
    ['GPTQ_G256', [], ['GPU sm75+']],
    ['GPTQ_8', ['GPU sm75+'], ['GPU sm80+']],
    ['GPTQ_3', [], ['GPU sm75+']],
    ['GPTQ_ASYM', [], ['GPU sm75+']],
    ['GPTQ_ORDERED', [], ['GPU sm80+']],
    ['AWQ', ['GPU sm75+', 'CPU'], ['GPU sm80+']],
    ['W8A8', ['GPU sm75 to below sm100', 'CPU'], ['GPU sm80+']],
    ['W8A8_STATIC', ['GPU sm75 to below sm100', 'CPU'], ['GPU sm80+']],
    ['W8A8_GROUP', [], []],
    ['W3A8', [], []],
    ['W3A8_PACKED', ['GPU sm75+'], []],
    ['W4A8', ['CPU'], []],
    ['W4AFP8', ['GPU sm90 alone'], []],
    ['FP8_DYNAMIC', ['GPU sm75+', 'CPU'], ['GPU sm80+']],
    ['FP8_STATIC', ['GPU sm75+', 'CPU'], ['GPU sm80+']],
    ['FP8_WEIGHTS', ['GPU sm75+'], ['GPU sm80+']],
    ['FP8_BLOCK', ['GPU sm75+', 'CPU'], ['GPU sm89+']],
    ['NVFP4', ['GPU sm75+'], ['GPU sm80+']],
    ['MXFP4A16', ['GPU sm80+'], []],
    ['MXFP8A16', ['GPU sm75+'], []],
  ])('of %s at the sizes of Llama 8B is, of vLLM, %j and of SGLang, %j', (name, vllm, sglang) => {
    const model = modelOf(SCHEMES[name], LLAMA_8B)
    expect(hardware('vllm', model)).toEqual(vllm)
    expect(hardware('sglang', model)).toEqual(sglang)
    expect(hardware('transformers', model)).toEqual(['GPU', 'CPU'])
    for (const target of TARGETS) {
      const refused = serverProblems(target, model).some(({ severity }) => severity === 'error')
      expect({ target, refused }).toEqual({ target, refused: hardware(target, model).length === 0 })
    }
  })
})

describe('servedBy', () => {
  test('names the servers that take all of a checkpoint, with their devices', () => {
    expect(servedBy(modelOf(SCHEMES.W4A16_G64, SMOLLM2_135M))).toBe('vLLM (GPU sm75+, CPU), transformers (GPU, CPU)')
    expect(servedBy(modelOf(SCHEMES.W4A16_G128, LLAMA_8B))).toBe('vLLM (GPU sm75+, CPU), transformers (GPU, CPU), SGLang (GPU sm80+)')
    expect(servedBy(modelOf(SCHEMES.FP8_BLOCK, SMOLLM2_135M))).toBe('transformers (GPU, CPU)')
  })
})

describe('serverProblems', () => {
  test('puts layers together that are told the same, errors first', () => {
    const severities = serverProblems('sglang', modelOf(SCHEMES.W4A16_G64, SMOLLM2_135M)).map(({ severity }) => severity)
    expect(severities).toEqual([...severities].sort())
    expect(severities[0]).toBe('error')
  })

  test('SGLang does not pad to the tiles of Marlin, vLLM does', () => {
    expect(said('sglang', 'W4A16_G64', 'error')[0]).toContain('without padding, found 960 x 576')
    expect(said('vllm', 'W4A16_G64', 'info')).toContainEqual(expect.stringContaining('Marlin pads 960 rows by 576 columns'))
  })

  test('group sizes that Marlin lacks go to other kernels of vLLM, and to none of SGLang', () => {
    const sizes = { hidden: 768, keys: 768, inner: 1536 }
    expect(said('vllm', 'W4A16_G48', 'info', sizes)[0]).toContain('GPU sm75+ (Humming), CPU (CPUWNA16)')
    expect(said('sglang', 'W4A16_G48', 'error', sizes)[0]).toContain('found 4 bits, group size 48')
  })

  test('inputs that are not quantized as the scheme says are a warning', () => {
    expect(said('vllm', 'W4A8_PACKED', 'warning', LLAMA_8B)[0]).toContain('leave the inputs at 16 bits: only Humming quantizes them')
    expect(said('vllm', 'FP8_BLOCK', 'warning', LLAMA_8B)).toEqual([])
    expect(said('vllm', 'MXFP4A16', 'warning', LLAMA_8B)[0]).toContain('from compute capability 100 the inputs are quantized to MXFP4 too')
    expect(said('sglang', 'W8A8_STATIC', 'warning', LLAMA_8B)[0]).toContain('stored scales and zero points of inputs are ignored')
  })

  test('W4AFP8 needs Hopper and groups of 128; Humming takes what CUTLASS has no tiles or types for', () => {
    expect(said('vllm', 'W4AFP8', 'info', LLAMA_8B)[0]).toContain('runs on GPU sm90 alone (CUTLASS W4A8); not on CPU')
    const half = modelOf(SCHEMES.W4AFP8, LLAMA_8B, { config: { torch_dtype: 'float16' } })
    expect(serverProblems('vllm', half)[0]?.message).toContain('runs on GPU sm90 alone (Humming)')
    const weights = { ...SCHEMES.W4AFP8, weights: SCHEMES.W4A16_G64.weights }
    expect(serverProblems('vllm', modelOf(weights, LLAMA_8B))[0]?.message).toContain('groups of 128 are needed, found 64')
  })

  test('experts are said not to have been checked', () => {
    const model = modelOf(SCHEMES.W3A8, LLAMA_8B)
    const experts = model.layers.map((layer) => ({ ...layer, name: layer.name.replace('mlp', 'mlp.experts.0') }))
    const messages = serverProblems('vllm', { ...model, layers: experts }).map(({ message }) => message)
    expect(messages).toContain('experts were not checked: their kernels have rules of their own')
  })

  test('a checkpoint without compressed linears has no findings', () => {
    const model = { ...modelOf(SCHEMES.W8A8, LLAMA_8B), groups: [], layers: [] }
    for (const target of TARGETS) expect(serverProblems(target, model)).toEqual([])
    expect(targetVersion('sglang')).toBe('SGLang 0.5.23')
  })
})

describe('key-value cache', () => {
  const problems = (target: (typeof TARGETS)[number], kv: object) =>
    serverProblems(target, modelOf(SCHEMES.W4A16_G128, LLAMA_8B, { kv })).filter(({ modules }) => modules.length === 0)

  test('8-bit floats with a scale a tensor are taken by all', () => {
    for (const target of TARGETS) expect(problems(target, { type: 'float', strategy: 'tensor' })).toEqual([])
  })

  test('integers are refused by vLLM and ignored by SGLang', () => {
    expect(problems('vllm', { strategy: 'tensor' })).toMatchObject([{ severity: 'error' }])
    expect(problems('sglang', { strategy: 'tensor' })).toMatchObject([{ severity: 'warning' }])
    expect(problems('sglang', { type: 'float', strategy: 'attn_head' })).toMatchObject([{ severity: 'warning' }])
    expect(problems('vllm', { type: 'float', strategy: 'attn_head' })).toEqual([])
  })
})

describe('scales', () => {
  test('below zero matter to NVFP4 in Marlin, and to fused linears with a scale a tensor', () => {
    const facts = { q_proj: { negativeScales: true }, o_proj: { negativeScales: true } }
    const modules = (name: Name) =>
      serverProblems('vllm', modelOf(SCHEMES[name], LLAMA_8B, { facts })).flatMap((finding) =>
        /negative/.test(finding.message) ? finding.modules.map((module) => module.slice(-6)) : [],
      )
    expect(modules('NVFP4')).toEqual(['q_proj', 'o_proj'])
    expect(modules('FP8_STATIC')).toEqual(['q_proj'])
    expect(modules('W4A16_G128')).toEqual([])
  })

  test('of second level must be shared by what SGLang fuses', () => {
    const own = { facts: { q_proj: { globalScale: 2 }, k_proj: { globalScale: 3 }, v_proj: { globalScale: 2 } } }
    const messages = (changes: object) =>
      serverProblems('sglang', modelOf(SCHEMES.NVFP4A16, LLAMA_8B, changes)).map(({ message }) => message)
    expect(messages(own)).toContainEqual(expect.stringContaining('weight_global_scale of their own'))
    expect(messages({})).not.toContainEqual(expect.stringContaining('weight_global_scale'))
  })
})

describe('transformers 5.17, as it was run', () => {
  const named = (modelType: string, name: string, scheme: Name) => {
    const model = modelOf(SCHEMES[scheme], SMOLLM2_135M)
    const linears = [{ name, rows: 64, columns: 64, scheme: { ...SCHEMES[scheme] } }] as const
    const findings = serverProblems('transformers', { ...model, modelType, layers: [{ name, linears, isHead: false }] })
    return findings.filter(({ severity }) => severity === 'error').map(({ message }) => message)
  }

  test('loads no packed Falcon', () => {
    const name = 'transformer.h.0.mlp.dense_h_to_4h'
    expect(named('falcon', name, 'W4A16_G64')).toEqual([expect.stringContaining('no packed Falcon is loaded')])
    expect(named('falcon', name, 'FP8_DYNAMIC')).toEqual([])
    expect(named('bloom', name, 'W4A16_G64')).toEqual([])
  })

  test('finds no experts of gpt-oss one by one', () => {
    const name = 'model.layers.0.mlp.experts.3.up_proj'
    expect(named('gpt_oss', name, 'FP8_DYNAMIC')).toEqual([expect.stringContaining('are looked for in one tensor')])
    expect(named('gpt_oss', 'model.layers.0.self_attn.q_proj', 'FP8_DYNAMIC')).toEqual([])
    expect(named('qwen3_moe', name, 'FP8_DYNAMIC')).toEqual([])
  })

  test('finds no experts of Llama 4 that are left as they are', () => {
    const model = modelOf(SCHEMES.FP8_DYNAMIC, SMOLLM2_135M)
    const linear = (name: string, scheme: ServedLinear['scheme']) => ({ name, rows: 64, columns: 64, scheme })
    const errors = (expert: ServedLinear['scheme']) => {
      const linears = [
        linear('model.layers.0.self_attn.q_proj', SCHEMES.FP8_DYNAMIC),
        linear('model.layers.0.feed_forward.experts.1.up_proj', expert),
      ] as const
      const found = serverProblems('transformers', { ...model, modelType: 'llama4_text', layers: [{ name: 'x', linears, isHead: false }] })
      return found.filter(({ severity }) => severity === 'error').map(({ modules }) => modules)
    }
    expect(errors(null)).toEqual([['model.layers.0.feed_forward.experts.1.up_proj']])
    expect(errors(SCHEMES.FP8_DYNAMIC)).toEqual([])
  })

  test('loads experts without zero points, and not in int-quantized form', () => {
    const name = 'model.layers.0.mlp.experts.3.up_proj'
    expect(named('mixtral', name, 'W4A16_G64')).toEqual([])
    for (const scheme of ['W4A16_G64_ASYM', 'W8A8'] as const) {
      expect(named('mixtral', name, scheme)).toEqual([expect.stringContaining('fail in its conversion to one tensor')])
      expect(named('mixtral', 'model.layers.0.self_attn.q_proj', scheme)).toEqual([])
    }
  })
})

describe('GPTQ and AWQ files', () => {
  test('are computed by GPTQModel in transformers, and what SGLang has kernels of its own for needs float16', () => {
    expect(said('transformers', 'GPTQ', 'info')).toContainEqual(expect.stringContaining('GPTQModel is needed beside it, and optimum'))
    expect(said('sglang', 'GPTQ_ASYM', 'warning')).toContainEqual(expect.stringContaining('its kernel computes in float16 alone'))
    expect(said('sglang', 'GPTQ', 'warning', LLAMA_8B)).toEqual([])
  })

  test('vLLM says why it takes neither zero points of GPTQ nor its order of columns', () => {
    expect(said('vllm', 'GPTQ_ASYM', 'error')).toEqual([expect.stringContaining('are symmetric, found 4 asymmetric')])
    expect(said('vllm', 'GPTQ_ORDERED', 'error')).toEqual([expect.stringContaining('desc_act')])
  })
})

describe('bitsandbytes files', () => {
  const served = async (name: string) => servedCheckpoint(await openForTest(oracleFolder(`bitsandbytes/${name}`)))

  test('are loaded by transformers, by SGLang on GPUs, and no longer by vLLM', async () => {
    for (const name of ['nf4', 'nf4-double', 'int8']) {
      const model = await served(name)
      expect(hardware('transformers', model)).toEqual(['GPU', 'CPU'])
      expect(hardware('sglang', model)).toEqual(['GPU sm70+'])
      expect(hardware('vllm', model)).toEqual([])
      const errors = serverProblems('vllm', model).filter(({ severity }) => severity === 'error')
      expect(errors).toMatchObject([{ message: expect.stringContaining("bitsandbytes is none of vLLM's quantization methods any more") }])
      const infos = serverProblems('transformers', model).map(({ message }) => message)
      expect(infos).toContainEqual(expect.stringContaining('bitsandbytes and accelerate are needed beside it'))
    }
  })

  test('SGLang takes codes that are stored as bytes alone', async () => {
    const errors = serverProblems('sglang', await served('fp4')).filter(({ severity }) => severity === 'error')
    expect(errors).toMatchObject([{ message: expect.stringContaining('stored as uint8 (bnb_4bit_quant_storage), found float32') }])
  })

  test("Falcon's linears are a class of their own, which bitsandbytes leaves alone", async () => {
    const plan = await planRun({ model: oracleFolder('architectures/falcon-7b'), recipe: 'llm-int8', output: '/nowhere/out' })
    const errors = serverProblems('transformers', plannedModel(plan)).filter(({ severity }) => severity === 'error')
    expect(errors).toMatchObject([{ message: expect.stringContaining('those of Falcon are a class of its own') }])
    await plan.close()
  })
})
