import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { verify } from '../../src/eval/verify.ts'
import { defineModifier } from '../../src/modifiers/define.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFolder, oracleNames, oracleRows, runForward, spread } from '../models/oracles.ts'
import { floatCopy } from '../modifiers/float-copy.ts'
import { recipeOf } from './runs.ts'

useEngine('wasm')

/** One checkpoint a family: variants of RoPE are Llamas. */
const FAMILIES = oracleNames('architectures').filter((name) => !name.startsWith('rope-'))
const COMPRESSED = FAMILIES.filter((name) => !name.startsWith('gpt2'))

const folder = (name: string) => oracleFolder(`architectures/${name}`)
const rowsOf = (name: string) => oracleRows(`architectures/${name}/reference.safetensors`, 'input_ids')

/** Divides the inputs of every stage that has a source by numbers between 1/2 and 2. */
const rescaler = defineModifier({
  names: ['TestRescaler'],
  description: 'Rescales whatever can be rescaled.',
  schema: { type: 'object', additionalProperties: false, properties: {} },
  quantizes: false,
  rescales: { sources: ['norm', 'linear'], forQuantizer: false, mappings: () => null, ignore: () => [] },
  needs: () => 'inputs',
  create: () => ({
    apply: async (stage) => {
      await stage.rescaleInputs(Float32Array.from({ length: stage.linears[0].columns }, (_, i) => 2 ** Math.sin(i + stage.linears.length)))
    },
  }),
})

/** Norm weights and biases that are far from what they are initialised with, so that it shows when one is left out. */
function lively(name: string, values: Float32Array): void {
  if (/norm.*\.weight$|ln_\d\.weight$|\.bias$/.test(name))
    for (let i = 0; i < values.length; i++) values[i] += 0.5 * Math.sin(7 * i + name.length)
}

describe.each(FAMILIES)('%s', (name) => {
  test('rescaling every stage that can be leaves the function as it is', async () => {
    const output = `${await temporaryFolder()}/out`
    const model = await floatCopy(folder(name), lively)
    const original = await runForward(model, rowsOf(name))
    const before = tf.memory().numTensors
    const { rewritten } = await oneshot({
      model,
      recipe: { modifiers: { TestRescaler: {} } },
      output,
      modifiers: [rescaler as never],
      dataset: rowsOf(name),
      engine: 'wasm',
      threads: 1,
    })
    expect(tf.memory().numTensors).toBe(before)
    expect(rewritten.length).toBeGreaterThan(0)
    const { logits } = await runForward(output, rowsOf(name))
    expect(largestDifference(logits, original.logits)).toBeLessThan(1e-4 * Math.max(1, spread(original.logits)))
  })
})

describe.each(COMPRESSED)('%s', (name) => {
  test('GPTQ compresses every linear but the head, and what is written verifies', async () => {
    const output = `${await temporaryFolder()}/out`
    const recipe = recipeOf('GPTQModifier', { scheme: 'W4A16', group_size: 16 })
    const { linears, untouched } = await oneshot({ model: folder(name), recipe, output, dataset: rowsOf(name), engine: 'wasm', threads: 1 })
    expect(untouched).toHaveLength(1)
    expect(linears.every(({ error, method }) => method === 'GPTQ' && error < 0.2)).toBe(true)
    expect((await verify(output, { against: folder(name) })).problems).toEqual([])
  })
})

describe('gpt2', () => {
  test('is refused with the reason: compressed-tensors has no Conv1D', async () => {
    const output = `${await temporaryFolder()}/out`
    const plan = planRun({ model: folder('gpt2'), recipe: recipeOf('QuantizationModifier', { scheme: 'W4A16', group_size: 32 }), output })
    await expect(plan).rejects.toThrow('transformer.h.0.attn.c_attn and 11 more: its weight is stored transposed (Conv1D)')
  })

  test('its head can be compressed with the rest ignored', async () => {
    const output = `${await temporaryFolder()}/out`
    const recipe = { modifiers: { QuantizationModifier: { scheme: 'W4A16', group_size: 32, ignore: ['re:transformer.*'] } } }
    const { linears } = await oneshot({ model: folder('gpt2'), recipe, output })
    expect(linears.map(({ name }) => name)).toEqual(['lm_head'])
    expect((await verify(output, { against: folder('gpt2') })).problems).toEqual([])
  })
})

describe('experts that are stored in one tensor', () => {
  const recipe = (...ignore: string[]) => ({
    modifiers: { QuantizationModifier: { scheme: 'FP8_DYNAMIC', ignore: ['lm_head', ...ignore] } },
  })

  test.each(['gpt_oss', 'llama4'])('%s: are compressed one by one, under the names that loaders look for', async (name) => {
    const output = `${await temporaryFolder()}/out`
    const { linears, warnings, untouched } = await oneshot({ model: folder(name), recipe: recipe(), output })
    expect(linears.filter((linear) => /\.experts\.3\.(gate|up|down)_proj$/.test(linear.name))).toHaveLength(6)
    expect([warnings, untouched]).toEqual([[], ['lm_head']])
    const { problems, notes = [] } = await verify(output, { against: folder(name) })
    expect([problems, notes]).toEqual([[], []])
  })

  test('gpt_oss: stay in one tensor where none of them is compressed, with a pattern in the ignore list', async () => {
    const output = `${await temporaryFolder()}/out`
    const { linears } = await oneshot({ model: folder('gpt_oss'), recipe: recipe('re:.*experts.*'), output })
    expect(linears).toHaveLength(8)
    const [before, after] = [await openCheckpoint(folder('gpt_oss')), await openCheckpoint(output)]
    const name = 'model.layers.1.mlp.experts.gate_up_proj'
    expect(Buffer.compare(await after.read(name), await before.read(name))).toBe(0)
    expect([...after.tensors.keys()].filter((key) => /experts\.\d/.test(key))).toEqual([])
    await before.close()
    await after.close()
    const { quantization_config: written } = (await readConfig(output)) as { quantization_config: { ignore: string[] } }
    expect(written.ignore.filter((entry) => entry.includes('experts'))).toEqual(
      [0, 1].map((layer) => `re:model\\.layers\\.${layer}\\.mlp\\.experts\\..*`),
    )
    expect((await verify(output, { against: folder('gpt_oss') })).problems).toEqual([])
  })
})

describe('linears that are fused into one', () => {
  test.each([
    [
      'phi3',
      'model.layers.1',
      { 'self_attn.o_proj': 'self_attn.qkv_proj', 'mlp.gate_up_proj': 'post_attention_layernorm', 'mlp.down_proj': 'mlp.gate_up_proj' },
    ],
    ['gpt2', 'transformer.h.1', { 'attn.c_attn': 'ln_1', 'attn.c_proj': 'attn.c_attn', 'mlp.c_fc': 'ln_2' }],
    ['falcon-rw', 'transformer.h.1', { 'self_attention.dense': 'self_attention.query_key_value' }],
    ['deepseek_v2', 'model.layers.1', { 'self_attn.o_proj': 'self_attn.kv_b_proj' }],
  ])('%s: are what the inputs of the next are rescaled in', async (name, layer, expected) => {
    const output = `${await temporaryFolder()}/out`
    const recipe = { modifiers: { TestRescaler: {} } }
    const plan = await planRun({ model: folder(name), recipe, output, modifiers: [rescaler as never] })
    await plan.close()
    const rescales = (plan.modifiers[0]?.rescales ?? []).filter(({ linears }) => linears[0]?.startsWith(`${layer}.`))
    for (const [linear, source] of Object.entries(expected)) {
      const found = rescales.find(({ linears }) => linears.includes(`${layer}.${linear}`))
      const isGrouped = name === 'phi3' && linear === 'self_attn.o_proj'
      expect(found, linear).toMatchObject({
        source: `${layer}.${source}`,
        skipped: isGrouped ? expect.stringContaining('16 rows of values for 32 inputs') : null,
      })
    }
  })

  test('phi3: AWQ and rounding lose less than rounding alone', async () => {
    const rows = rowsOf('phi3-mha')
    const { logits } = await runForward(folder('phi3-mha'), rows)
    const quantize = { QuantizationModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } }
    const errors: number[] = []
    for (const modifiers of [[quantize], [{ AWQModifier: {} }, quantize]]) {
      const output = `${await temporaryFolder()}/out`
      await oneshot({ model: folder('phi3-mha'), recipe: { modifiers }, output, dataset: rows, engine: 'wasm', threads: 1 })
      const after = await runForward(output, rows)
      errors.push(after.logits.reduce((sum, value, i) => sum + (value - logits[i]) ** 2, 0))
    }
    expect(errors[1]).toBeLessThan(errors[0])
  })
})

describe('opt-350m', () => {
  test('its projections stay as they are and stand in the ignore list, as a loader takes them for linears', async () => {
    const output = `${await temporaryFolder()}/out`
    const plan = await planRun({ model: folder('opt-350m'), recipe: recipeOf('QuantizationModifier', { scheme: 'FP8_DYNAMIC' }), output })
    await plan.close()
    const ignore = ['lm_head', 'model.decoder.project_in', 'model.decoder.project_out']
    expect(plan.config.quantization_config).toMatchObject({ ignore })
  })
})
