import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Llama 1 to 3.3 and its likes: RMSNorm, rotary grouped-query attention, gated SiLU MLP, all before-norm. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6) }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias', false)),
      rotary: rotaryTables(readRope(config, heads.headDim)),
    })
    const mlp = gatedMlp({
      hidden,
      inner: count(config, 'intermediate_size'),
      activation: readActivation(config, 'hidden_act', 'silu'),
      bias: flag(config, 'mlp_bias', false),
    })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'llama', config, norm, heads, layer: () => layer }, at)
  },
}
