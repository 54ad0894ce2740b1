import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { readModel } from '../../src/models/read-model.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { folderOf, safetensorsFile, temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from './oracles.ts'

const ORACLE = oracleFolder('architectures/llama')
const GPTQ = { modifiers: { GPTQModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } } }
const RTN = { modifiers: { QuantizationModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } } }

function zeros(name: string, ...shape: number[]): TensorData {
  return { name, dtype: 'BF16', shape, bytes: new Uint8Array(shape.reduce((a, b) => a * b, 2)) }
}

/** The Llama of the oracles with more tensors than its config.json speaks of. */
async function withMore(...more: TensorData[]): Promise<string> {
  const reader = await openCheckpoint(ORACLE)
  try {
    const own: TensorData[] = []
    for (const { name, dtype, shape } of reader.tensors.values()) own.push({ name, dtype, shape, bytes: await reader.read(name) })
    return await folderOf({ 'config.json': await readConfig(ORACLE), 'model.safetensors': safetensorsFile([...own, ...more]) })
  } finally {
    await reader.close()
  }
}

describe('a bias that the config does not speak of', () => {
  const bias = zeros('model.layers.1.self_attn.q_proj.bias', 64)
  const REASON = /model\.layers\.1\.self_attn\.q_proj\.bias is in the checkpoint, and llama with this config\.json has no bias there/

  test('is an error that names it, where something is computed', async () => {
    const model = await withMore(bias)
    const plan = planRun({ model, recipe: GPTQ, output: `${await temporaryFolder()}/out` })
    await expect(plan).rejects.toThrow(CheckpointError)
    await expect(plan).rejects.toThrow(REASON)
    await expect(perplexity(model, { dataset: [Int32Array.of(1, 2, 3)], engine: 'wasm' })).rejects.toThrow(REASON)
  })

  test('is copied with a warning, where nothing is', async () => {
    const { warnings, foreign } = await oneshot({ model: await withMore(bias), recipe: RTN, output: `${await temporaryFolder()}/out` })
    expect(foreign).toEqual([bias.name])
    expect(warnings.join()).toContain('1 tensors within layers are not computed with, and copied as they are: self_attn.q_proj.bias')
  })
})

describe('tensors that the architecture does not know', () => {
  test('are told apart by where they stand, and listed whole in the record', async () => {
    const tower = Array.from({ length: 8 }, (_, i) => zeros(`vision_tower.blocks.${i}.weight`, 2, 2))
    const model = await withMore(zeros('model.layers.0.self_attn.q_norm.weight', 16), ...tower)
    const { warnings, foreign } = await oneshot({ model, recipe: RTN, output: `${await temporaryFolder()}/out` })
    expect(foreign).toHaveLength(9)
    expect(warnings.filter((text) => text.includes('self_attn.q_norm.weight'))).toHaveLength(1)
    expect(warnings.filter((text) => text.includes('vision_tower.blocks.4.weight and 3 more'))).toHaveLength(1)
  })
})

describe('what transformers 5.17 makes of keys that contradict each other', () => {
  const rows = [Int32Array.from({ length: 60 }, (_, i) => (i * 37) % 300)]
  const score = async (more: object) => {
    const files = {
      'config.json': { ...(await readConfig(ORACLE)), ...more },
      'model.safetensors': await readFile(`${ORACLE}/model.safetensors`),
    }
    return (await perplexity(await folderOf(files), { dataset: rows, window: 60, engine: 'wasm' })).perplexity
  }
  const linear = { type: 'linear', factor: 4 }

  test('a head that is stored is not tied', async () => {
    expect(await score({ tie_word_embeddings: true })).toBe(await score({}))
  })

  test('rope_scaling goes before rope_parameters', async () => {
    const scaled = await score({ rope_scaling: linear })
    expect(scaled).toBe(await score({ rope_parameters: undefined, rope_theta: 10_000, rope_scaling: linear }))
    expect(scaled).not.toBe(await score({}))
    expect(await score({ rope_scaling: {} })).toBe(await score({}))
  })

  test('a llama rotates whole heads', async () => {
    expect(await score({ partial_rotary_factor: 0.5 })).toBe(await score({}))
  })
})

describe('keys of config.json that change what is computed', () => {
  const sizes = {
    vocab_size: 128,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 1,
    num_attention_heads: 16,
    num_key_value_heads: 16,
  }
  const reader = { tensors: new Map([['a', {}]]) } as never

  test.each(['gemma', 'gemma2', 'gemma3_text'])('%s: attention in both directions is refused', async (type) => {
    await readModel({ model_type: type, ...sizes, use_bidirectional_attention: false }, reader)
    const read = readModel({ model_type: type, ...sizes, use_bidirectional_attention: true }, reader)
    await expect(read).rejects.toThrow('use_bidirectional_attention is true, expected false: nothing else is computed')
  })
})
