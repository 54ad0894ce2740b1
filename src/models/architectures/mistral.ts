import type { Architecture } from '../architecture.ts'
import { count, headSizes, positive } from '../config-values.ts'
import { slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Mistral (arXiv 2310.06825): Llama with a sliding window in every layer, where config.json has one. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    sliding_window: 4096,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(slidingWindow(config)),
    })
    const mlp = usualMlp(config)
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'mistral', config, norm, heads, layer: () => layer }, at)
  },
}
