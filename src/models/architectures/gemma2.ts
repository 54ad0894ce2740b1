import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, optional, positive } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, sandwichLayer } from '../llama-like.ts'
import { capped, readActivation } from '../parts/activations.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Gemma 2 (arXiv 2408.00118): Gemma with norms before and after each part, softcaps, and a sliding window in every other layer. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes({ head_dim: 256, ...config })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6), offset: 1 } as const
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const activation = readActivation(config, 'hidden_activation', 'gelu_pytorch_tanh')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const types = layerTypes(config, (layer) => (layer % 2 === 0 ? 'sliding_attention' : 'full_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: positive(config, 'query_pre_attn_scalar', 256) ** -0.5,
        softcap: optional({ attn_logit_softcapping: 50, ...config }, 'attn_logit_softcapping'),
        bias: biases(flag(config, 'attention_bias', false)),
        rotary,
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config, 4096) : null),
      })
      return sandwichLayer(config, norm, attention, mlp)
    })
    const cap = optional({ final_logit_softcapping: 30, ...config }, 'final_logit_softcapping')
    const embed = scaledEmbedding(Math.sqrt(hidden))
    const bend = capped(cap)
    return llamaLike({ modelType: 'gemma2', config, tied: true, maxPositions: 8192, norm, heads, layer, embed, bend }, at)
  },
}
