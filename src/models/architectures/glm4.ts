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
  model: (config, at) => {
    const heads = headSizes({ head_dim: 128, ...config })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1.5625e-7) }
    const bias = flag(config, 'attention_bias', true)
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: { q: bias, k: bias, v: bias },
      rotary: rotaryTables(readRope(config, heads.headDim, { partial: 0.5 }), true),
    })
    const activation = readActivation(config, 'hidden_act', 'silu')
    const mlp = fusedGatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const named = layerNorms(config, norm)
    const layer = sequential([
      { before: named('input_layernorm'), part: attention, after: named('post_self_attn_layernorm') },
      { before: named('post_attention_layernorm'), part: mlp, after: named('post_mlp_layernorm') },
    ])
    return llamaLike({ modelType: 'glm4', config, maxPositions: 131_072, norm, heads, layer: () => layer }, at)
  },
}
