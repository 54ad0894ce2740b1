import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { layerNorms, llamaLike } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Command A and R7B (arXiv 2504.00698): Command R with three local layers to a global one, which does without rotary positions. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'layer_norm_eps', 1e-5), centered: true }
    const rotary = rotaryTables(readRope(config, heads.headDim), true)
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation: readActivation(config, 'hidden_act', 'silu') })
    const pattern = count(config, 'sliding_window_pattern', 4)
    const types = layerTypes(config, (layer) => ((layer + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'))
    const layer = byKind(types, (type) => {
      const isLocal = type === 'sliding_attention'
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias', false)),
        rotary: isLocal ? rotary : null,
        mask: causalMask(isLocal ? slidingWindow(config, 4096) : null),
      })
      return parallelOfOneNorm(layerNorms(config, norm)('input_layernorm'), attention, mlp)
    })
    const scale = positive(config, 'logit_scale', 0.0625)
    return llamaLike(
      { modelType: 'cohere2', config, tied: true, maxPositions: 8192, norm, heads, layer, bend: (logits) => tf.mul(logits, scale) },
      at,
    )
  },
}
