import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { layerNorms, llamaLike, usualMlp } from '../llama-like.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Command A and R7B (arXiv 2504.00698): Command R with three local layers to a global one, which does without rotary positions. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 256_000,
    hidden_size: 8192,
    intermediate_size: 22_528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    layer_norm_eps: 1e-5,
    tie_word_embeddings: true,
    logit_scale: 0.0625,
    attention_bias: false,
    sliding_window: 4096,
    sliding_window_pattern: 4,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'layer_norm_eps'), centered: true }
    const rotary = rotaryTables(readRope(config, heads.headDim), true)
    const mlp = usualMlp(config)
    const pattern = count(config, 'sliding_window_pattern')
    const types = layerTypes(config, (layer) => ((layer + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'))
    const layer = byKind(types, (type) => {
      const isLocal = type === 'sliding_attention'
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias')),
        rotary: isLocal ? rotary : null,
        mask: causalMask(isLocal ? slidingWindow(config) : null),
      })
      return parallelOfOneNorm(layerNorms(config, norm)('input_layernorm'), attention, mlp)
    })
    const scale = positive(config, 'logit_scale')
    return llamaLike({ modelType: 'cohere2', config, norm, heads, layer, bend: (logits) => tf.mul(logits, scale) }, at)
  },
}
