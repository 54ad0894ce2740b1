import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, qwenWindows } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { headNorms } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Qwen 3 (arXiv 2505.09388): Llama with an RMSNorm of each query and key head. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes({ head_dim: 128, ...config })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6) }
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation: readActivation(config, 'hidden_act', 'silu') })
    const layer = byKind(qwenWindows(config), (window) => {
      const attention = selfAttention({
        ...heads,
        ...headNorms(norm, heads.headDim),
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias', false)),
        rotary,
        mask: causalMask(window),
      })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'qwen3', config, maxPositions: 32_768, norm, heads, layer }, at)
  },
}
