import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { verify } from '../../src/eval/verify.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { RecipeError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleRows } from '../models/oracles.ts'
import { openForTest, runTiny, storedLinears, TINY } from './runs.ts'

const EVALUATION = oracleRows('checkpoints/input_ids.safetensors', 'eval')
const RTN = { QuantizationModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } }

async function plan(modifiers: object | readonly object[]) {
  const settled = await planRun({ model: TINY, recipe: { modifiers }, output: join(await temporaryFolder(), 'out') })
  await settled.close()
  return settled
}

async function refusal(modifiers: object | readonly object[]): Promise<Error> {
  return plan(modifiers).then(
    () => {
      throw new Error('expected a refusal')
    },
    (error: Error) => error,
  )
}

describe('planRun with transforms', () => {
  test('SmoothQuant rescales what norms feed; AWQ also what linears feed, but not across grouped queries', async () => {
    const [smooth] = (await plan([{ SmoothQuantModifier: {} }, RTN])).modifiers
    expect(smooth.rescales?.map(({ source, skipped }) => [source, skipped])).toEqual([
      ['model.layers.0.input_layernorm', null],
      ['model.layers.0.post_attention_layernorm', null],
      ['model.layers.1.input_layernorm', null],
      ['model.layers.1.post_attention_layernorm', null],
    ])
    const [awq] = (await plan([{ AWQModifier: {} }, RTN])).modifiers
    expect(awq.rescales?.slice(0, 4).map(({ source, skipped }) => [source, skipped])).toEqual([
      ['model.layers.0.input_layernorm', null],
      ['model.layers.0.self_attn.v_proj', expect.stringContaining('grouped-query attention')],
      ['model.layers.0.post_attention_layernorm', null],
      ['model.layers.0.mlp.up_proj', null],
    ])
  })

  test('the values of a quantized cache are not rescaled: its scales are settled before', async () => {
    const kv_cache_scheme = { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true }
    const cached = { QuantizationModifier: { ...RTN.QuantizationModifier, kv_cache_scheme } }
    const [awq] = (await plan([{ AWQModifier: {} }, cached])).modifiers
    expect(awq.rescales?.slice(0, 4).map(({ skipped }) => skipped)).toEqual([
      null,
      'model.layers.0.self_attn.v_proj fills the key-value cache, whose scales are settled before',
      null,
      null,
    ])
  })

  test('mappings of a recipe choose the stages', async () => {
    const mappings = [[['re:.*gate_proj', 're:.*up_proj'], 're:.*post_attention_layernorm']]
    const [smooth] = (await plan([{ SmoothQuantModifier: { mappings } }, RTN])).modifiers
    expect(smooth.rescales?.map(({ linears }) => linears)).toEqual([
      ['model.layers.0.mlp.gate_proj', 'model.layers.0.mlp.up_proj'],
      ['model.layers.1.mlp.gate_proj', 'model.layers.1.mlp.up_proj'],
    ])
  })

  test('a stage is ignored when its source and all its linears are', async () => {
    const [smooth] = (await plan([{ SmoothQuantModifier: { ignore: ['re:model.layers.0.*'] } }, RTN])).modifiers
    expect(smooth.rescales?.every(({ layer }) => layer === 1)).toBe(true)
    const [half] = (await plan([{ SmoothQuantModifier: { ignore: ['re:.*layernorm'] } }, RTN])).modifiers
    expect(half.rescales).toHaveLength(4)
  })

  test.each([
    [
      'a mapping that names no layer',
      { mappings: [[['re:.*qq_proj'], 're:.*input_layernorm']] },
      /"re:\.\*qq_proj", which matches no linear/,
    ],
    [
      'a mapping of a part of a stage',
      { mappings: [[['re:.*q_proj'], 're:.*input_layernorm']] },
      /but not model\.layers\.0\.self_attn\.k_proj/,
    ],
    ['a source that feeds something else', { mappings: [[['re:.*down_proj'], 're:.*input_layernorm']] }, /no stage reads the outputs of/],
    ['a source that there is not', { mappings: [[['re:.*down_proj'], 're:.*inputlayernorm']] }, /expected model\.layers\.0\.mlp\.up_proj/],
    ['a strength above one', { smoothing_strength: 1.5 }, /smoothing_strength/],
  ])('refuses %s', async (_, options, message) => {
    const error = await refusal([{ SmoothQuantModifier: options }, RTN])
    expect(error).toBeInstanceOf(RecipeError)
    expect(error.message).toMatch(message)
  })

  test.each([
    ['AWQ without a quantizer', [{ AWQModifier: {} }], /AWQModifier alone/],
    ['a transform after a quantizer', [RTN, { SmoothQuantModifier: {} }], /SmoothQuantModifier after QuantizationModifier/],
    ['a transform twice', [{ SmoothQuantModifier: {} }, { SmoothQuantModifier: {} }, RTN], /SmoothQuantModifier twice/],
  ])('refuses %s', async (_, modifiers, message) => {
    expect((await refusal(modifiers)).message).toMatch(message)
  })
})

describe('oneshot with transforms', () => {
  test('SmoothQuant alone writes a float checkpoint of the same function', async () => {
    const { output, linears, rewritten } = await runTiny({ modifiers: { SmoothQuantModifier: { smoothing_strength: 0.5 } } })
    expect(linears).toEqual([])
    expect(rewritten).toContain('model.layers.0.input_layernorm.weight')
    expect(await readConfig(output)).not.toHaveProperty('quantization_config')
    const scored = { dataset: EVALUATION, engine: 'wasm', threads: 2 } as const
    const [before, after] = [await perplexity(TINY, scored), await perplexity(output, scored)]
    // Rescaled weights are rounded to bfloat16 once more.
    expect(Math.abs(after.perplexity / before.perplexity - 1)).toBeLessThan(0.005)
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('AWQ divides what is compressed already: up_proj keeps its codes, and down_proj reads smaller inputs', async () => {
    const plain = await runTiny({ modifiers: [RTN] })
    const { output, linears } = await runTiny({ modifiers: [{ AWQModifier: { duo_scaling: false } }, RTN] })
    const rescaled = linears.filter((linear) => linear.rescaled?.some(({ lossBefore = 0, lossAfter = 0 }) => lossAfter < lossBefore))
    expect(rescaled.length).toBeGreaterThan(0)
    expect((await verify(output, { against: TINY })).problems).toEqual([])
    const scored = { dataset: EVALUATION, engine: 'wasm', threads: 2 } as const
    const [a, b] = [await perplexity(output, scored), await perplexity(plain.output, scored)]
    expect(a.perplexity).toBeLessThan(b.perplexity * 1.02)
  })
})

describe('oneshot with stored ranges', () => {
  const cache = { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true }

  test('FP8 stores the range of the inputs: the scale of every stage is the largest input over 448', async () => {
    const { output } = await runTiny({ modifiers: { QuantizationModifier: { scheme: 'FP8', ignore: ['lm_head'] } } })
    const [ours, theirs] = [await openForTest(output), await openForTest(join(TINY, '../checkpoints/fp8-static'))]
    for (const { spec } of await storedLinears(ours)) {
      const [scale] = await ours.reader.readFloats(`${spec.name}.input_scale`)
      const [reference] = await theirs.reader.readFloats(`${spec.name}.input_scale`)
      // The reference runs the float model in bfloat16, and this one the compressed.
      expect(Math.abs(scale / reference - 1), spec.name).toBeLessThan(0.1)
    }
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('a quantized key-value cache stores scales near those of llm-compressor, and eval computes with them', async () => {
    const recipe = { modifiers: { QuantizationModifier: { scheme: 'FP8_DYNAMIC', kv_cache_scheme: cache, ignore: ['lm_head'] } } }
    const { output } = await runTiny(recipe)
    const [ours, theirs] = [await openForTest(output), await openForTest(join(TINY, '../checkpoints/fp8-kv-cache'))]
    for (const name of ['model.layers.0.self_attn.k_scale', 'model.layers.1.self_attn.v_scale']) {
      const [[scale], [reference]] = [await ours.reader.readFloats(name), await theirs.reader.readFloats(name)]
      expect(Math.abs(scale / reference - 1), name).toBeLessThan(0.05)
    }
    const config = JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))
    expect(config.quantization_config.kv_cache_scheme).toMatchObject({ num_bits: 8, type: 'float', strategy: 'tensor' })
    expect((await verify(output, { against: TINY })).problems).toEqual([])
    const scored = { dataset: EVALUATION, engine: 'wasm', threads: 2 } as const
    const { perplexity: quantized } = await perplexity(output, scored)
    const { perplexity: original } = await perplexity(TINY, scored)
    expect(quantized).not.toBe(original)
    expect(Math.abs(quantized / original - 1)).toBeLessThan(0.02)
  })

  test('a cache alone leaves every weight as it is', async () => {
    const { output, linears } = await runTiny({
      modifiers: { QuantizationModifier: { kv_cache_scheme: { ...cache, strategy: 'attn_head' } } },
    })
    expect(linears).toEqual([])
    const { quantization_config: quantization } = await readConfig(output)
    expect(quantization).toMatchObject({ config_groups: {}, format: 'dense', kv_cache_scheme: { strategy: 'attn_head' } })
    const source = await openForTest(output)
    expect(source.reader.info('model.layers.0.self_attn.k_scale').shape).toEqual([source.model.attention?.kvHeads, 1, 1])
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })
})
