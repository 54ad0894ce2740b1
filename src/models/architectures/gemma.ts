import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Gemma (arXiv 2403.08295): norms multiply by 1 + weight, the embedding by the root of the hidden size; a gated GELU. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes({ head_dim: 256, ...config })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6), offset: 1 } as const
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias', false)),
      rotary: rotaryTables(readRope(config, heads.headDim)),
    })
    const activation = readActivation(config, 'hidden_act', 'gelu_pytorch_tanh')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const layer = preNormLayer(config, norm, attention, mlp)
    const embed = scaledEmbedding(Math.sqrt(hidden))
    return llamaLike({ modelType: 'gemma', config, tied: true, maxPositions: 8192, norm, heads, layer: () => layer, embed }, at)
  },
}
