import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { verify } from '../../src/eval/verify.ts'
import type { DType } from '../../src/numerics/dtype.ts'
import { bytesTensor, folderOf, safetensorsFile } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'

const TINY = oracleFolder('tiny')
const BIASED = oracleFolder('architectures/llama3-rope-untied-bias')
const COMPRESSED = oracleFolder('checkpoints/rtn-w4a16')
const NORM = 'model.norm.weight'

/** A copy of a checkpoint with its tensors changed. */
async function changed(model: string, change: (tensors: TensorData[]) => TensorData[]): Promise<string> {
  const reader = await openCheckpoint(model)
  const tensors: TensorData[] = []
  for (const { name, dtype, shape } of reader.tensors.values()) tensors.push({ name, dtype, shape, bytes: await reader.read(name) })
  await reader.close()
  return folderOf({ 'config.json': await readConfig(model), 'model.safetensors': safetensorsFile(change(tensors)) })
}

/** A copy whose header says another type, of elements as large, for a tensor. */
function relabelled(model: string, name: string, dtype: DType): Promise<string> {
  return changed(model, (tensors) => tensors.map((tensor) => (tensor.name === name ? { ...tensor, dtype } : tensor)))
}

/** A copy with one tensor more. */
function extended(model: string, tensor: TensorData): Promise<string> {
  return changed(model, (tensors) => [...tensors, tensor])
}

describe('verify', () => {
  test.each([TINY, BIASED, COMPRESSED])('finds nothing wrong with a sound checkpoint: %s', async (model) => {
    const { problems, notes } = await verify(model)
    expect({ problems, notes }).toEqual({ problems: [], notes: undefined })
  })

  test('with a target, what it refuses is a problem and what runs it is told', async () => {
    const served = await verify(COMPRESSED, { target: 'vllm' })
    expect(served.problems).toEqual([])
    expect(served.findings).toContainEqual(
      expect.objectContaining({ severity: 'info', message: expect.stringContaining('CPU (CPUWNA16)') }),
    )
    const { problems, findings } = await verify(oracleFolder('checkpoints/rtn-w3a16-g64'), { target: 'sglang' })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^SGLang 0\.5\.23 does not load it: W3A16 g64: weight-only integers have 4 or 8 bits .* and 13 more\)$/)
    expect(findings).toMatchObject([{ severity: 'error' }])
    expect((await verify(TINY, { target: 'sglang' })).findings).toEqual([])
  })

  test('a target that is not known is refused with those that are', async () => {
    // @ts-expect-error not a target
    await expect(verify(COMPRESSED, { target: 'tgi' })).rejects.toThrow(
      "found 'tgi' for the option target, expected one of vllm, transformers, sglang",
    )
  })

  test.each([
    ['a norm', TINY, NORM, 'I16'],
    ['the embedding', TINY, 'model.embed_tokens.weight', 'U16'],
    ['a linear', TINY, 'model.layers.0.mlp.up_proj.weight', 'I16'],
    ['a bias', BIASED, 'model.layers.1.self_attn.q_proj.bias', 'I16'],
    ['lm_head', BIASED, 'lm_head.weight', 'U16'],
    ['a norm beside compressed linears', COMPRESSED, NORM, 'I16'],
  ] as const)('says that %s must be of floats', async (_, model, name, dtype) => {
    const { problems } = await verify(await relabelled(model, name, dtype))
    expect(problems).toEqual([`${name} is stored as ${dtype}, expected F32, F16, BF16`])
  })

  test('says that codes have another type than their format', async () => {
    const name = 'model.layers.0.mlp.up_proj.weight_packed'
    const { problems } = await verify(await relabelled(COMPRESSED, name, 'U32'))
    expect(problems).toEqual([`${name} is stored as U32, expected I32`])
  })

  test('reads the scales of inputs that are quantized statically, which no original has', async () => {
    const model = await changed(oracleFolder('checkpoints/fp8-dynamic'), (tensors) => [
      ...tensors,
      ...tensors
        .filter(({ name }) => name.endsWith('.weight_scale'))
        .map(({ name }): TensorData => {
          const scale = Float32Array.of(name.includes('layers.1.mlp.up_proj') ? 0 : 0.5)
          return { name: name.replace('weight_scale', 'input_scale'), dtype: 'F32', shape: [1], bytes: new Uint8Array(scale.buffer) }
        }),
    ])
    const config = JSON.stringify(await readConfig(model)).replace('"dynamic":true', '"dynamic":false')
    await writeFile(join(model, 'config.json'), config)
    const zero = 'model.layers.1.mlp.up_proj.input_scale'
    const wrong = [`${zero} is 0 at element 0, expected finite and not zero`]
    expect(await verify(model)).toMatchObject({ problems: wrong })
    expect(await verify(model, { against: TINY })).toMatchObject({ problems: wrong })
    const without = await changed(model, (tensors) => tensors.filter(({ name }) => name !== zero))
    expect((await verify(without)).problems).toEqual([`${zero} is missing, expected scales in F32, F16, BF16`])
  })

  test('compares type and shape of what is not compressed with the original', async () => {
    expect((await verify(COMPRESSED, { against: TINY })).problems).toEqual([])
    const { problems } = await verify(await relabelled(COMPRESSED, NORM, 'F16'), { against: TINY })
    expect(problems).toEqual([`${NORM} is F16 [128], expected BF16 [128] as in the original`])
    const extra = (shape: number[]): TensorData => ({ ...bytesTensor('extra', 1, 2, 3, 4), shape })
    const reshaped = await verify(await extended(TINY, extra([2, 2])), { against: await extended(TINY, extra([4])) })
    expect(reshaped.problems).toEqual(['extra is U8 [2,2], expected U8 [4] as in the original'])
  })

  test('notes tensors that nothing names, and calls them a problem where the original has none', async () => {
    const model = await extended(COMPRESSED, bytesTensor('model.rotary.table', 1, 2))
    const note = 'model.rotary.table is named neither by the architecture nor by a format'
    expect(await verify(model)).toMatchObject({ problems: [], notes: [note] })
    const compared = await verify(model, { against: TINY })
    expect(compared.problems).toEqual(['model.rotary.table is not in the original'])
    expect(compared.notes).toBeUndefined()
  })
})
