import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, qwenWindows } from '../layer-kinds.ts'
import { llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { headNorms } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Qwen 3 (arXiv 2505.09388): Llama with an RMSNorm of each query and key head. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 151_936,
    hidden_size: 4096,
    intermediate_size: 22_016,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    attention_bias: false,
    use_sliding_window: false,
    sliding_window: 4096,
    max_window_layers: 28,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const mlp = usualMlp(config)
    const layer = byKind(qwenWindows(config), (window) => {
      const attention = selfAttention({
        ...heads,
        ...headNorms(norm, heads.headDim),
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias')),
        rotary,
        mask: causalMask(window),
      })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'qwen3', config, norm, heads, layer }, at)
  },
}
