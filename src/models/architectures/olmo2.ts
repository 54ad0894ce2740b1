import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { layerNorms, llamaLike, usualMlp } from '../llama-like.ts'
import { sequential } from '../parts/layer.ts'
import { norm as makeNorm } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** OLMo 2 (arXiv 2501.00656): norms after each part instead of before, and of all queries and all keys together. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 50_304,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    attention_bias: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(config, heads.headDim)),
      queryNorm: makeNorm(norm, 'self_attn.q_norm', heads.heads * heads.headDim),
      keyNorm: makeNorm(norm, 'self_attn.k_norm', heads.kvHeads * heads.headDim),
    })
    const mlp = usualMlp(config)
    const named = layerNorms(config, norm)
    const layer = sequential([
      { part: attention, after: named('post_attention_layernorm') },
      { part: mlp, after: named('post_feedforward_layernorm') },
    ])
    return llamaLike({ modelType: 'olmo2', config, norm, heads, layer: () => layer }, at)
  },
}
