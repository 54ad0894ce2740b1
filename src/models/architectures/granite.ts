import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Granite 3: Llama with multipliers of the embedding, the scores, what parts add, and the logits. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6) }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: positive(config, 'attention_multiplier', 1),
      bias: biases(flag(config, 'attention_bias', false)),
      rotary: rotaryTables(readRope(config, heads.headDim)),
    })
    const mlp = gatedMlp({
      hidden,
      inner: count(config, 'intermediate_size'),
      activation: readActivation(config, 'hidden_act', 'silu'),
      bias: flag(config, 'mlp_bias', false),
    })
    const layer = preNormLayer(config, norm, attention, mlp, positive(config, 'residual_multiplier', 1))
    const divisor = positive(config, 'logits_scaling', 1)
    return llamaLike(
      {
        modelType: 'granite',
        config,
        norm,
        heads,
        layer: () => layer,
        embed: scaledEmbedding(positive(config, 'embedding_multiplier', 1)),
        bend: (logits) => tf.div(logits, divisor),
      },
      at,
    )
  },
}
