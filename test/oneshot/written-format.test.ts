import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Method } from '../../src/checkpoint/layouts/layout.ts'
import { verify } from '../../src/eval/verify.ts'
import { roundToDtype } from '../../src/numerics/float-dtype.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { rebuild } from '../../src/oneshot/rebuild.ts'
import { UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { openForTest, recipeOf, runTiny, storedLinears, TINY } from './runs.ts'

useEngine('wasm')

const weights = (parts: object) => ({ config_groups: { g: { targets: ['Linear'], weights: { type: 'int', group_size: 32, ...parts } } } })
const rtn = (parts: object) => recipeOf('QuantizationModifier', weights(parts))

async function configOf(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).quantization_config
}

describe('oneshot with a format', () => {
  const cases: [Method, object, object][] = [
    ['gptq', { num_bits: 4 }, { bits: 4, group_size: 32, sym: true, desc_act: false, checkpoint_format: 'gptq', lm_head: false }],
    ['gptq', { num_bits: 3, symmetric: false }, { bits: 3, sym: false, checkpoint_format: 'gptq_v2' }],
    ['gptq', { num_bits: 2 }, { bits: 2, sym: true }],
    ['gptq', { num_bits: 8, group_size: -1 }, { bits: 8, group_size: -1, checkpoint_format: 'gptq' }],
    [
      'awq',
      { num_bits: 4, symmetric: false },
      { bits: 4, group_size: 32, zero_point: true, version: 'gemm', modules_to_not_convert: ['lm_head'] },
    ],
    ['awq', { num_bits: 4 }, { bits: 4, zero_point: true }],
  ]
  test.each(cases)('writes %s of %j that reads back sound, with scales in float16', async (format, parts, expected) => {
    const { output, linears } = await runTiny(rtn(parts), { format })
    expect(await configOf(output)).toMatchObject({ quant_method: format, ...expected })
    const { problems, linears: verified } = await verify(output, { against: TINY })
    expect(problems).toEqual([])
    expect(verified.flatMap(({ error }) => error ?? [])).toEqual(linears.map(({ error }) => expect.closeTo(error, 6)))
    for (const { quantized } of await storedLinears(await openForTest(output))) {
      expect(quantized.scaleDtype).toBe('F16')
      const rounded = quantized.scale.slice()
      roundToDtype(rounded, 'F16')
      expect(quantized.scale).toEqual(rounded)
    }
  })

  test('stands in a file of its own too, where older tools look, and in the report, from which a layer can be made again', async () => {
    const { output, format } = await runTiny(rtn({ num_bits: 4 }), { format: 'gptq' })
    expect(format).toBe('gptq')
    expect(JSON.parse(await readFile(join(output, 'quantize_config.json'), 'utf8'))).toEqual(await configOf(output))
    expect(await rebuild(output, { against: TINY })).toMatchObject({ problems: [], tensors: 28 + 2, same: 28 + 2 })
    const awq = await runTiny(rtn({ num_bits: 4 }), { format: 'awq' })
    expect(JSON.parse(await readFile(join(awq.output, 'quant_config.json'), 'utf8'))).toMatchObject({
      w_bit: 4,
      q_group_size: 32,
      version: 'GEMM',
    })
  })

  test('what a recipe leaves out is named for every loader', async () => {
    const left = { modifiers: { QuantizationModifier: { ...weights({ num_bits: 4 }), ignore: ['lm_head', 're:.*down_proj'] } } }
    const gptq = await planRun({ model: TINY, recipe: left, output: join(await temporaryFolder(), 'out'), format: 'gptq' })
    expect(gptq.config.quantization_config).toMatchObject({
      dynamic: { '-:^model\\.layers\\.0\\.mlp\\.down_proj$': {}, '-:^model\\.layers\\.1\\.mlp\\.down_proj$': {} },
      modules_in_block_to_quantize: [
        ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.up_proj'],
      ],
    })
    await gptq.close()
    const { output } = await runTiny(left, { format: 'awq' })
    expect(await configOf(output)).toMatchObject({
      modules_to_not_convert: ['model.layers.0.mlp.down_proj', 'model.layers.1.mlp.down_proj', 'lm_head'],
      dynamic: { '-:^model\\.layers\\.0\\.mlp\\.down_proj$': {}, '-:^model\\.layers\\.1\\.mlp\\.down_proj$': {} },
    })
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('a run over a checkpoint of another format removes what said how that was stored', async () => {
    const { output } = await runTiny(rtn({ num_bits: 4 }), { format: 'gptq' })
    await runTiny(rtn({ num_bits: 4 }), { output, overwrite: true })
    expect(await readdir(output)).not.toContain('quantize_config.json')
  })

  const refused: [Method, object, string][] = [
    ['gptq', recipeOf('QuantizationModifier', { scheme: 'FP8_DYNAMIC' }), 'GPTQ files hold integers, found float'],
    ['gptq', recipeOf('QuantizationModifier', { scheme: 'W8A8' }), 'GPTQ files say nothing of inputs'],
    ['gptq', rtn({ num_bits: 5 }), 'GPTQ files hold 2, 3, 4, 8 bits, found 5'],
    ['gptq', rtn({ num_bits: 4, group_size: 8 }), 'groups of 16, 32, 64, 128, 256, 512, 1024 or all columns (-1), found 8'],
    ['awq', rtn({ num_bits: 8 }), 'AWQ files hold 4 bits, found 8'],
    ['awq', rtn({ num_bits: 4, strategy: 'tensor', group_size: null }), 'scales by group or row, found strategy tensor'],
    ['gptq', { modifiers: { QuantizationModifier: { ...weights({ num_bits: 4 }), ignore: [] } } }, "its weight is the embedding's"],
    [
      'awq',
      { modifiers: { QuantizationModifier: { ...weights({ num_bits: 4 }), ignore: [] } } },
      'lm_head is compressed, which AWQ loaders leave',
    ],
    [
      'gptq',
      [
        { QuantizationModifier: { ...weights({ num_bits: 4 }), ignore: ['lm_head', 're:.*mlp.*'] } },
        { QuantizationModifier: { ...weights({ num_bits: 8 }), ignore: ['lm_head', 're:.*self_attn.*'] } },
      ],
      'found W4A16 g32 and W8A16 g32, and such a checkpoint has one scheme',
    ],
    [
      'gptq',
      recipeOf('QuantizationModifier', {
        ...weights({ num_bits: 4 }),
        kv_cache_scheme: { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true },
      }),
      'found kv_cache_scheme',
    ],
  ]
  test.each(refused)('%s refuses what it has no words for, before compute: %j', async (format, recipe, message) => {
    const error = await planRun({ model: TINY, recipe, format, output: join(await temporaryFolder(), 'out') }).catch(
      (failure: unknown) => failure,
    )
    expect(error).toBeInstanceOf(UserError)
    expect(String(error)).toContain(message)
    expect(String(error)).toMatch(/^UserError: Cannot write .* as (gptq|awq): .*, expected .*, or --format compressed-tensors\./)
  })

  test('AWQ is refused where loaders look for scales of activations', async () => {
    const output = join(await temporaryFolder(), 'out')
    const plan = planRun({ model: oracleFolder('architectures/starcoder2'), recipe: rtn({ num_bits: 4 }), format: 'awq', output })
    await expect(plan).rejects.toThrow('scales of activations in a starcoder2')
  })

  test('a recipe cannot name a format of another method', async () => {
    const recipe = {
      modifiers: {
        QuantizationModifier: {
          ignore: ['lm_head'],
          config_groups: { g: { targets: ['Linear'], weights: { num_bits: 4, group_size: 32 }, format: 'gptq' } },
        },
      },
    }
    await expect(planRun({ model: TINY, recipe, output: join(await temporaryFolder(), 'out') })).rejects.toThrow(
      'Cannot use format gptq in a compressed-tensors checkpoint',
    )
  })

  test('GPTQ, calibrated, with signed scales and act-order, is stored as it was made', async () => {
    const { output, linears } = await runTiny(recipeOf('GPTQModifier', { ...weights({ num_bits: 4 }), quality: 'best' }), {
      format: 'gptq',
    })
    const { problems, linears: verified } = await verify(output, { against: TINY })
    expect(problems).toEqual([])
    expect(verified.filter(({ scheme }) => scheme !== null)).toHaveLength(linears.length)
  })
})
