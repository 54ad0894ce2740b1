import { cp } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { verify } from '../../src/eval/verify.ts'
import { openModel } from '../../src/models/open-model.ts'
import { encodeFloats } from '../../src/numerics/float-dtype.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { folderOf, safetensorsFile, temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from './oracles.ts'

const RTN = { modifiers: { QuantizationModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } } }

function tensor(name: string, ...shape: number[]): TensorData {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + name.length))
  return { name, dtype: 'BF16', shape, bytes: encodeFloats(values, 'BF16') }
}

const MODEL = [
  tensor('model.language_model.embed_tokens.weight', 96, 64),
  tensor('model.language_model.layers.0.self_attn.q_proj.weight', 64, 64),
  tensor('model.language_model.layers.0.self_attn.k_proj.weight', 32, 64),
  tensor('model.language_model.layers.0.self_attn.v_proj.weight', 32, 64),
  tensor('model.language_model.layers.0.self_attn.o_proj.weight', 64, 64),
  tensor('model.language_model.layers.0.self_attn.q_norm.weight', 16),
  tensor('model.language_model.layers.0.mlp.gate.weight', 2, 64),
  tensor('model.language_model.layers.0.mlp.experts.1.w1.weight', 32, 64),
  tensor('model.language_model.layers.0.mlp.experts.1.w3.weight', 32, 64),
  tensor('model.language_model.layers.0.mlp.experts.1.w2.weight', 64, 32),
  tensor('model.language_model.layers.0.mlp.shared_expert_gate.weight', 1, 64),
  tensor('model.language_model.layers.0.conv1d.weight', 64, 1, 4),
  tensor('model.visual.blocks.0.attn.proj.weight', 64, 64),
  tensor('model.visual.blocks.0.attn.proj.bias', 64),
  tensor('mtp.proj.weight', 64, 64),
  tensor('lm_head.weight', 96, 64),
]

async function unknownModel(tensors: readonly TensorData[] = MODEL): Promise<string> {
  return folderOf({ 'config.json': { model_type: 'other' }, 'model.safetensors': safetensorsFile(tensors) })
}

describe('a model_type that is not known', () => {
  test('is compressed by names and shapes where nothing needs computing: linears of blocks, not routers, convolutions, vision', async () => {
    const [model, output] = [await unknownModel(), `${await temporaryFolder()}/out`]
    const { linears, warnings } = await oneshot({ model, recipe: RTN, output })
    const layer = 'model.language_model.layers.0'
    expect(linears.map(({ name }) => name).sort()).toEqual(
      ['q_proj', 'k_proj', 'v_proj', 'o_proj']
        .map((name) => `${layer}.self_attn.${name}`)
        .concat(['w1', 'w2', 'w3'].map((name) => `${layer}.mlp.experts.1.${name}`))
        .sort(),
    )
    expect(warnings.join()).toContain('the architecture "other" is not known')
    expect((await verify(output, { against: model })).problems).toEqual([])
    const config = (await readConfig(output)) as { quantization_config: { ignore: string[] } }
    expect(config.quantization_config.ignore).toEqual([
      'lm_head',
      'model.visual.blocks.0.attn.proj',
      'mtp.proj',
      'model.language_model.layers.0.mlp.gate',
      'model.language_model.layers.0.mlp.shared_expert_gate',
      're:.*visual\\..*',
    ])
  })

  test.each([
    ['as they lie', [4, 128, 64], [4, 64, 64]],
    ['turned', [4, 64, 128], [4, 64, 64]],
  ])('experts that are stored in one tensor, %s, are taken apart', async (_, gateUp, down) => {
    const module = 'model.layers.0.mlp.experts'
    const [model, output] = [
      await unknownModel([...MODEL.slice(0, 5), tensor(`${module}.gate_up_proj`, ...gateUp), tensor(`${module}.down_proj`, ...down)]),
      `${await temporaryFolder()}/out`,
    ]
    const { linears, warnings } = await oneshot({ model, recipe: RTN, output })
    expect(linears.map(({ name }) => name).filter((name) => name.startsWith(`${module}.3.`))).toEqual(
      ['gate_proj', 'up_proj', 'down_proj'].map((name) => `${module}.3.${name}`),
    )
    expect(warnings.join()).toContain('experts that are stored in one tensor are taken apart, the half of the gate first')
    expect((await verify(output, { against: model })).problems).toEqual([])
  })

  test('gives the same bytes as the architecture does', async () => {
    const [known, unknown] = [oracleFolder('tiny'), `${await temporaryFolder()}/model`]
    await cp(known, unknown, { recursive: true })
    const outputs = [`${await temporaryFolder()}/out`, `${await temporaryFolder()}/out`]
    const other = await folderOf({ 'config.json': { ...(await readConfig(known)), model_type: 'other' } })
    await cp(`${other}/config.json`, `${unknown}/config.json`)
    for (const [i, model] of [known, unknown].entries()) await oneshot({ model, recipe: RTN, output: outputs[i] })
    const [a, b] = [await openModel(outputs[0]), await openModel(outputs[1])]
    expect([...b.reader.tensors.keys()].sort()).toEqual([...a.reader.tensors.keys()].sort())
    for (const name of a.reader.tensors.keys()) expect(Buffer.compare(await a.reader.read(name), await b.reader.read(name)), name).toBe(0)
    await a.close()
    await b.close()
  })

  test.each([
    ['calibration', 'a recipe that needs calibration data', { modifiers: { GPTQModifier: { scheme: 'W4A16', group_size: 32 } } }],
    ['a rotation', 'SpinQuantModifier', { modifiers: [{ SpinQuantModifier: {} }, RTN.modifiers] }],
  ])('%s is refused with the types that are known', async (_, what, recipe) => {
    const plan = planRun({ model: await unknownModel(), recipe, output: `${await temporaryFolder()}/out` })
    await expect(plan).rejects.toThrow(CheckpointError)
    await expect(plan).rejects.toThrow(`Cannot use ${what} on`)
    await expect(plan).rejects.toThrow(
      /model_type in config.json is "other", expected one of bloom, .*qwen3, .*only recipes that need no data/,
    )
  })

  test('evaluation is refused', async () => {
    const scored = perplexity(await unknownModel(), { dataset: [Int32Array.of(1, 2, 3, 4)], engine: 'wasm' })
    await expect(scored).rejects.toThrow(/Cannot evaluate .*model_type in config.json is "other"/)
  })

  test('without any linear it is an error that says so', async () => {
    const opened = openModel(await unknownModel([tensor('encoder.conv.weight', 4, 4, 3)]))
    await expect(opened).rejects.toThrow('neither their linears nor an output projection were found')
  })
})
