import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { inspect } from '../../src/eval/inspect.ts'
import { verify } from '../../src/eval/verify.ts'
import { allLinears, readWeight } from '../../src/models/open-model.ts'
import { bytesOf } from '../../src/numerics/view.ts'
import { convert } from '../../src/oneshot/convert.ts'
import { CheckpointError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { editHeader, editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'
import { openForTest, recipeOf, runTiny, sameBytes, TINY } from './runs.ts'

useEngine('wasm')

const outputIn = async () => join(await temporaryFolder(), 'out')
const weights = (parts: object) => ({ config_groups: { g: { targets: ['Linear'], weights: { type: 'int', group_size: 32, ...parts } } } })
const rtn = (parts: object) => runTiny(recipeOf('QuantizationModifier', weights(parts)))

async function sameWeights(one: string, other: string): Promise<void> {
  const [a, b] = [await openForTest(one), await openForTest(other)]
  for (const spec of allLinears(a.model)) {
    expect(sameBytes(bytesOf(await readWeight(a, spec)), bytesOf(await readWeight(b, spec))), spec.name).toBe(true)
  }
}

async function sameTensors(one: string, other: string): Promise<void> {
  const [a, b] = [await openCheckpoint(one), await openCheckpoint(other)]
  expect([...a.tensors.keys()].sort()).toEqual([...b.tensors.keys()].sort())
  for (const name of a.tensors.keys()) {
    expect(a.info(name).dtype, name).toBe(b.info(name).dtype)
    expect(sameBytes(await a.read(name), await b.read(name)), name).toBe(true)
  }
  await a.close()
  await b.close()
}

describe('convert', () => {
  const shapes: [string, object, 'gptq' | 'awq'][] = [
    ['4 bits', { num_bits: 4 }, 'gptq'],
    ['4 bits, asymmetric', { num_bits: 4, symmetric: false }, 'gptq'],
    ['3 bits, asymmetric', { num_bits: 3, symmetric: false }, 'gptq'],
    ['8 bits by row', { num_bits: 8, group_size: -1 }, 'gptq'],
    ['4 bits', { num_bits: 4 }, 'awq'],
    ['4 bits, asymmetric', { num_bits: 4, symmetric: false }, 'awq'],
  ]
  test.each(shapes)('%s of compressed-tensors to %s and %s, and back, byte by byte', async (_, parts, format) => {
    const { output: original } = await rtn(parts)
    const there = await convert(original, { format, output: await outputIn() })
    expect(there).toMatchObject({ from: 'compressed-tensors', format, notes: [] })
    await sameWeights(original, there.output)
    const { problems, linears } = await verify(there.output, { against: TINY })
    expect(problems).toEqual([])
    expect(linears).toHaveLength(15)
    const back = await convert(there.output, { format: 'compressed-tensors', output: await outputIn() })
    expect(back.notes).toEqual([])
    await sameTensors(original, back.output)
    expect((await verify(back.output, { against: TINY })).problems).toEqual([])
    const config = async (folder: string) => JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).quantization_config
    const { config_groups: groups, ...others } = await config(back.output)
    const before = await config(original)
    expect(others).toEqual({ ...before, config_groups: undefined })
    expect(Object.values(groups)).toEqual(Object.values(before.config_groups))
  })

  test('what is written in a format is what is converted to it', async () => {
    const recipe = recipeOf('QuantizationModifier', weights({ num_bits: 4 }))
    const { output: gptq } = await runTiny(recipe, { format: 'gptq' })
    const awq = await convert(gptq, { format: 'awq', output: await outputIn() })
    const again = await convert(awq.output, { format: 'gptq', output: await outputIn() })
    await sameTensors(gptq, again.output)
    const text = (folder: string, name: string) => readFile(join(folder, name), 'utf8')
    expect(await text(again.output, 'config.json')).toBe(await text(gptq, 'config.json'))
    expect(await text(again.output, 'quantize_config.json')).toBe(await text(gptq, 'quantize_config.json'))
    expect(await text(again.output, 'recipe.yaml')).toBe(await text(gptq, 'recipe.yaml'))
    expect(await readdir(again.output)).toEqual(expect.arrayContaining(['tokenizer.json', 'tokenizer_config.json', 'llmpress-report.json']))
  })

  test.each(oracleNames('gptq-awq'))('%s of GPTQModel to compressed-tensors and back, byte by byte', async (name) => {
    const theirs = oracleFolder(`gptq-awq/${name}`)
    const there = await convert(theirs, { format: 'compressed-tensors', output: await outputIn() })
    await sameWeights(theirs, there.output)
    expect((await verify(there.output)).problems).toEqual([])
    const format = name.startsWith('awq') ? 'awq' : 'gptq'
    // Zero points of the first version come back as those of the second; GPTQModel's AWQ has scales in the model's own type, AutoAWQ's in float16.
    const back = await convert(there.output, { format, output: await outputIn() })
    if (name.endsWith('asym-v1') || format === 'awq') await sameWeights(theirs, back.output)
    else await sameTensors(theirs, back.output)
  })

  test('an order of columns goes along, and says who does not load it', async () => {
    const there = await convert(oracleFolder('gptq-awq/gptq-w4-g32-desc-act'), { format: 'compressed-tensors', output: await outputIn() })
    expect(there.notes).toContainEqual(expect.stringContaining('compressed-tensors 0.19 and later no longer load'))
    const { modules, notes } = await inspect(there.output)
    expect(notes).toEqual([])
    expect(modules.find(({ name }) => name.endsWith('q_proj'))).toMatchObject({ kind: 'W4A16 g32', shape: [128, 128] })
    const failure = convert(there.output, { format: 'awq', output: await outputIn() })
    await expect(failure).rejects.toThrow('AWQ files have no g_idx')
  })

  test('scales of float16 keep their type where bfloat16 would round them, and that is said', async () => {
    const there = await convert(oracleFolder('gptq-awq/gptq-w4-g32'), { format: 'compressed-tensors', output: await outputIn() })
    expect(there.notes).toEqual([expect.stringContaining('keep float16')])
    const reader = await openCheckpoint(there.output)
    expect(reader.info('model.layers.0.self_attn.q_proj.weight_scale').dtype).toBe('F16')
    await reader.close()
  })

  test('a bfloat16 scale that float16 has no room for is an error that names the tensor, and nothing is written', async () => {
    const { output: original } = await rtn({ num_bits: 4 })
    const name = 'model.layers.1.mlp.up_proj.weight_scale'
    const damaged = join(await temporaryFolder(), 'damaged')
    await cp(original, damaged, { recursive: true })
    await editWeights(damaged, (bytes) => {
      bytes.writeUInt16LE(0x3189, tensorStart(bytes, name) + 6)
      return bytes
    })
    const output = await outputIn()
    const error = await convert(damaged, { format: 'gptq', output }).catch((failure: unknown) => failure)
    expect(error).toBeInstanceOf(CheckpointError)
    expect(error).toMatchObject({ tensor: name, file: 'model.safetensors' })
    expect(String(error)).toContain('which float16 cannot hold as it is')
    expect(await readdir(join(output, '..'))).toEqual([])
  })

  const refused: [string, string, 'compressed-tensors' | 'gptq' | 'awq', string][] = [
    ['tiny', 'a model that is not compressed', 'gptq', 'none of its linears is compressed'],
    ['checkpoints/rtn-w4a16', 'its own format', 'compressed-tensors', 'it is in the format compressed-tensors already'],
    ['checkpoints/fp8-dynamic', 'floats', 'gptq', 'GPTQ files hold integers, found float'],
    ['checkpoints/rtn-w8a8', 'quantized inputs', 'gptq', 'GPTQ files say nothing of inputs'],
    ['checkpoints/rtn-w8a16', 'eight bits', 'awq', 'AWQ files hold 4 bits, found 8'],
    ['checkpoints/fp8-kv-cache', 'a quantized cache', 'gptq', 'found kv_cache_scheme'],
    ['gptq-awq/gptq-w3-g32-asym', 'three bits', 'awq', 'AWQ files'],
  ]
  test.each(refused)('%s: refuses %s as %s, saying why', async (name, _, format, message) => {
    const failure = await convert(oracleFolder(name), { format, output: await outputIn() }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(UserError)
    expect(String(failure)).toContain(message)
  })

  test('refuses a group that is not there, with its tensor, before anything is written', async () => {
    const damaged = join(await temporaryFolder(), 'damaged')
    await cp(oracleFolder('gptq-awq/gptq-w4-g32'), damaged, { recursive: true })
    const index = 'model.layers.1.self_attn.v_proj.g_idx'
    await editWeights(damaged, (bytes) => {
      bytes.writeInt32LE(-1, tensorStart(bytes, index))
      return bytes
    })
    const failure = convert(damaged, { format: 'compressed-tensors', output: await outputIn() })
    await expect(failure).rejects.toMatchObject({ tensor: index, file: 'model.safetensors' })
  })

  test("llm-compressor's checkpoints become GPTQ and AWQ files of the same weights", async () => {
    for (const [name, format] of [
      ['gptq-w4a16', 'gptq'],
      ['rtn-w3a16-g64', 'gptq'],
      ['awq-w4a16-asym', 'awq'],
      ['rtn-w4a16-g32', 'awq'],
    ] as const) {
      const original = oracleFolder(`checkpoints/${name}`)
      const { output } = await convert(original, { format, output: await outputIn() })
      await sameWeights(original, output)
    }
  })

  test('stops at a signal and leaves nothing', async () => {
    const output = await outputIn()
    const controller = new AbortController()
    const failure = convert(oracleFolder('checkpoints/rtn-w4a16'), {
      format: 'gptq',
      output,
      signal: controller.signal,
      onProgress: ({ index }) => {
        if (index === 3) controller.abort(new Error('enough'))
      },
    })
    await expect(failure).rejects.toThrow('enough')
    expect(await readdir(join(output, '..'))).toEqual([])
  })

  test('weight_g_idx that is missing is named', async () => {
    const there = await convert(oracleFolder('gptq-awq/gptq-w4-g32-desc-act'), { format: 'compressed-tensors', output: await outputIn() })
    await editHeader(there.output, (header) => {
      header['model.layers.0.mlp.up_proj.other'] = header['model.layers.0.mlp.up_proj.weight_g_idx']
      delete header['model.layers.0.mlp.up_proj.weight_g_idx']
    })
    await expect(openForTest(there.output)).rejects.toThrow('model.layers.0.mlp.up_proj.weight_g_idx')
  })
})
