import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Granite 3: Llama with multipliers of the embedding, the scores, what parts add, and the logits. */
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
    embedding_multiplier: 1,
    logits_scaling: 1,
    residual_multiplier: 1,
    attention_multiplier: 1,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: positive(config, 'attention_multiplier'),
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(config, heads.headDim)),
    })
    const mlp = usualMlp(config, flag(config, 'mlp_bias'))
    const layer = preNormLayer(config, norm, attention, mlp, positive(config, 'residual_multiplier'))
    const divisor = positive(config, 'logits_scaling')
    return llamaLike(
      {
        modelType: 'granite',
        config,
        norm,
        heads,
        layer: () => layer,
        embed: scaledEmbedding(positive(config, 'embedding_multiplier')),
        bend: (logits) => tf.div(logits, divisor),
      },
      at,
    )
  },
}
