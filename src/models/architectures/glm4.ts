import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { layerNorms, llamaLike } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { sequential } from '../parts/layer.ts'
import { fusedGatedMlp } from '../parts/mlp.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** GLM-4: norms before and after each part, half of each head rotated in neighbouring pairs, gate and up in one linear. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 151_552,
    hidden_size: 4096,
    intermediate_size: 13_696,
    num_hidden_layers: 40,
    num_attention_heads: 32,
    num_key_value_heads: 2,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1.5625e-7,
    tie_word_embeddings: false,
    partial_rotary_factor: 0.5,
    attention_bias: true,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const bias = flag(config, 'attention_bias')
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: { q: bias, k: bias, v: bias },
      rotary: rotaryTables(readRope(config, heads.headDim, { partial: true }), true),
    })
    const activation = readActivation(config, 'hidden_act')
    const mlp = fusedGatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const named = layerNorms(config, norm)
    const layer = sequential([
      { before: named('input_layernorm'), part: attention, after: named('post_self_attn_layernorm') },
      { before: named('post_attention_layernorm'), part: mlp, after: named('post_mlp_layernorm') },
    ])
    return llamaLike({ modelType: 'glm4', config, norm, heads, layer: () => layer }, at)
  },
}
