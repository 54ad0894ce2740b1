import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Llama 1 to 3.3 and its likes: RMSNorm, rotary grouped-query attention, gated SiLU MLP, all before-norm. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    attention_bias: false,
    mlp_bias: false,
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
    })
    const mlp = usualMlp(config, flag(config, 'mlp_bias'))
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'llama', config, norm, heads, layer: () => layer }, at)
  },
}
