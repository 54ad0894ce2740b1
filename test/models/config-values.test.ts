import { describe, expect, test } from 'vitest'
import { architecture } from '../../src/models/architectures/llama.ts'
import { headSizes } from '../../src/models/config-values.ts'
import { CheckpointError } from '../../src/util/errors.ts'

const config = { hidden_size: 128, num_attention_heads: 4, num_key_value_heads: 2 }

describe('headSizes', () => {
  test('takes head_dim from config.json, or the hidden size over the heads, and as many key-value heads as heads', () => {
    expect(headSizes(config)).toEqual({ heads: 4, kvHeads: 2, headDim: 32 })
    expect(headSizes({ ...config, head_dim: null })).toEqual({ heads: 4, kvHeads: 2, headDim: 32 })
    expect(headSizes({ hidden_size: 100, num_attention_heads: 3, head_dim: 64 })).toEqual({ heads: 3, kvHeads: 3, headDim: 64 })
  })

  const refused: [string, object, string][] = [
    ['heads that key-value heads do not divide', { num_key_value_heads: 3 }, 'num_attention_heads is 4 and num_key_value_heads is 3'],
    ['more key-value heads than heads', { num_key_value_heads: 8 }, 'num_attention_heads is 4 and num_key_value_heads is 8'],
    ['a hidden size that heads do not divide', { hidden_size: 130 }, 'hidden_size is 130 and num_attention_heads is 4'],
    ['an odd head_dim', { head_dim: 33 }, 'head_dim is 33, expected an even number'],
    [
      'an odd width per head',
      { hidden_size: 132 },
      'hidden_size is 132 and num_attention_heads is 4 (and there is no head_dim), 33 per head',
    ],
    ['a head_dim that is not whole', { head_dim: 32.5 }, 'head_dim is 32.5, expected a positive integer'],
  ]
  test.each(refused)('refuses %s, naming keys and values', (_, change, message) => {
    expect(() => headSizes({ ...config, ...change })).toThrow(message)
    expect(() => headSizes({ ...config, ...change })).toThrow(CheckpointError)
  })
})

describe('llama', () => {
  const llama = { ...config, vocab_size: 320, intermediate_size: 256, num_hidden_layers: 2 }

  test('refuses heads that do not fit together before any tensor is looked for', () => {
    expect(architecture.model({ ...architecture.defaults, ...llama }).linears(0)).toHaveLength(7)
    for (const change of [{ num_key_value_heads: 3 }, { head_dim: 31 }, { hidden_size: 126 }]) {
      expect(() => architecture.model({ ...architecture.defaults, ...llama, ...change })).toThrow(CheckpointError)
    }
  })
})
