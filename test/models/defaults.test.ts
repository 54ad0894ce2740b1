import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { TensorReader } from '../../src/checkpoint/tensor-reader.ts'
import type { Architecture } from '../../src/models/architecture.ts'
import type { Config } from '../../src/models/config-values.ts'
import { readModel } from '../../src/models/read-model.ts'

const ARCHITECTURES = new URL('../../src/models/architectures/', import.meta.url)
const TYPES = readdirSync(ARCHITECTURES).map((file) => file.replace(/\.ts$/, ''))
const ORACLE = JSON.parse(readFileSync(new URL('../oracles/config-defaults.json', import.meta.url), 'utf8')) as Record<string, Config>

/** Keys of ours that the config classes say otherwise: null for one group of experts, nothing of BLOOM's positions. */
const OWN = new Set(['deepseek_v2 n_group', 'deepseek_v2 topk_group', 'bloom seq_length', 'cohere2 sliding_window_pattern'])

/** A reader of names alone: what `readModel` asks for. */
function readerOf(...names: string[]): TensorReader {
  const tensors = new Map(Array.from({ length: 64 }, (_, i) => [names[i] ?? `other.${i}`, {}]))
  return { tensors } as unknown as TensorReader
}

describe('architecture.defaults', () => {
  test.each(TYPES)('%s: are those of its config class in transformers', async (type) => {
    const { architecture } = (await import(new URL(`${type}.ts`, ARCHITECTURES).href)) as { architecture: Architecture }
    for (const [key, value] of Object.entries(architecture.defaults)) {
      if (!OWN.has(`${type} ${key}`)) expect(value, key).toBe(ORACLE[type][key])
    }
  })
})

describe('readModel', () => {
  test('fills in what the text config of a wrapper leaves out, as gemma-3-4b-it does', async () => {
    const text = { hidden_size: 2560, intermediate_size: 10_240, model_type: 'gemma3_text', num_hidden_layers: 34, sliding_window: 1024 }
    const config = { model_type: 'gemma3', text_config: { ...text, rope_scaling: { factor: 8, rope_type: 'linear' } } }
    const model = await readModel(config, readerOf('language_model.model.embed_tokens.weight'))
    expect(model).toMatchObject({ layers: 34, hidden: 2560, vocab: 262_208, maxPositions: 131_072, tied: true })
    expect(model.attention).toEqual({ module: 'self_attn', heads: 8, kvHeads: 4, headDim: 256 })
    expect(model.embedding).toBe('language_model.model.embed_tokens')
  })

  test('fills in what the text config of a wrapper leaves out, as llava-1.5-7b does', async () => {
    const text = { model_type: 'llama', max_position_embeddings: 4096, rms_norm_eps: 1e-5, vocab_size: 32_064 }
    const model = await readModel({ model_type: 'llava', text_config: text }, readerOf('language_model.model.embed_tokens.weight'))
    expect(model).toMatchObject({ layers: 32, hidden: 4096, vocab: 32_064, maxPositions: 4096, tied: false })
    expect(model.attention).toMatchObject({ heads: 32, kvHeads: 32, headDim: 128 })
    expect(model.linears(0).find(({ name }) => name.endsWith('gate_proj'))?.rows).toBe(11_008)
  })

  test.each(['vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads'])(
    'does not guess %s where a text model stands by itself',
    async (key) => {
      const sizes = { vocab_size: 128, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 4 }
      const config = { model_type: 'llama', ...sizes, [key]: undefined }
      await expect(readModel(config, readerOf())).rejects.toThrow(`${key} is no such key, expected a positive integer`)
    },
  )

  test('takes the number of key-value heads of the family where config.json does not say', async () => {
    const sizes = { vocab_size: 128, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 8 }
    const heads = async (type: string) => (await readModel({ model_type: type, ...sizes }, readerOf())).attention?.kvHeads
    expect(await Promise.all(['gemma3_text', 'glm4', 'llama'].map(heads))).toEqual([4, 2, 8])
  })
})
