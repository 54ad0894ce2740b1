import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { allLinears, readWeight } from '../../src/models/open-model.ts'
import { useEngine } from '../engine/engines.ts'
import { outputError, pipelineInputs, secondMoments } from '../modifiers/stages.ts'
import { CALIBRATION, openForTest, recipeOf, runTiny, storedLinears, TINY } from './runs.ts'

useEngine('wasm')

/** Weights of all linears quantized so. */
const weights = (args: object) => ({ config_groups: { group_0: { targets: ['Linear'], weights: args } } })
/** Blocks that the widths of the tiny model (128, 64, 256) do not divide into. */
const blocks = { strategy: 'block', block_structure: [48, 80] }

describe('GPTQModifier with all codes and scales that QuantizationModifier has', () => {
  test.each([
    ['FP8', { scheme: 'FP8' }],
    ['FP8_DYNAMIC', { scheme: 'FP8_DYNAMIC' }],
    ['FP8_BLOCK', { scheme: 'FP8_BLOCK' }],
    ['NVFP4', { scheme: 'NVFP4' }],
    ['MXFP4A16', { scheme: 'MXFP4A16' }],
    ['MXFP8', { scheme: 'MXFP8' }],
    ['floats in blocks that are cut short', weights({ ...blocks, num_bits: 8, type: 'float' })],
    ['integers in blocks that are cut short', weights({ ...blocks, num_bits: 8, type: 'int', symmetric: false })],
    ['integers with one scale for the tensor', weights({ num_bits: 8, type: 'int', strategy: 'tensor' })],
  ])('%s: beats plain rounding on every linear, and the error is that of what is read back', async (_, options) => {
    const record = await runTiny(recipeOf('GPTQModifier', { ...options, hold_back: false }))
    expect(record.linears).toHaveLength(14)
    for (const { name, method, error, rtnError } of record.linears) {
      expect(method, name).toBe('GPTQ')
      expect(error, name).toBeLessThan(rtnError ?? 0)
    }
    expect((await verify(record.output, { against: TINY })).problems).toEqual([])

    const original = await openForTest(TINY)
    const written = await openForTest(record.output)
    // Before the first stage nothing is compressed, so its inputs are known.
    const [{ linears, input }] = await pipelineInputs(original, original, CALIBRATION)
    for (const spec of allLinears(original.model).filter(({ name }) => linears.includes(name))) {
      const weight = await readWeight(original, spec)
      const h = secondMoments(input, spec.columns)
      const error = outputError(weight, await readWeight(written, spec), h) / outputError(new Float32Array(weight.length), weight, h)
      const reported = record.linears.find(({ name }) => name === spec.name)?.error ?? Number.NaN
      expect(Math.abs(reported / error - 1), spec.name).toBeLessThan(1e-3)
    }
  })

  test('NVFP4: linears that servers fuse share a global scale, which follows what is rounded where that is not the original weight', async () => {
    const globals: Map<string, number | null>[] = []
    for (const quality of ['fast', 'best']) {
      const { output } = await runTiny(recipeOf('GPTQModifier', { scheme: 'NVFP4A16', quality }))
      const stored = await storedLinears(await openForTest(output))
      const found = new Map(stored.map(({ spec, quantized }) => [spec.name.replace('model.layers.', ''), quantized.globalScale]))
      globals.push(found)
      for (const layer of [0, 1]) {
        const [q, k, v] = ['q', 'k', 'v'].map((name) => found.get(`${layer}.self_attn.${name}_proj`))
        expect([k, v]).toEqual([q, q])
        expect(found.get(`${layer}.mlp.up_proj`)).toBe(found.get(`${layer}.mlp.gate_proj`))
      }
      expect(new Set(found.values()).size).toBe(8)
    }
    const [fast, best] = globals
    // Before the first stage nothing has drifted.
    expect(best.get('0.self_attn.q_proj')).toBe(fast.get('0.self_attn.q_proj'))
    for (const name of ['0.self_attn.o_proj', '0.mlp.up_proj', '1.mlp.down_proj']) expect(best.get(name)).not.toBe(fast.get(name))
  })
})
