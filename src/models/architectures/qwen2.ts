import type { Architecture } from '../architecture.ts'
import { count, headSizes, positive } from '../config-values.ts'
import { byKind, qwenWindows } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Qwen 1.5 to 2.5 (arXiv 2407.10671): Llama with biases on queries, keys and values; some layers may have a sliding window. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6) }
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation: readActivation(config, 'hidden_act', 'silu') })
    const layer = byKind(qwenWindows(config), (window) => {
      const bias = { q: true, k: true, v: true }
      const attention = selfAttention({ ...heads, hidden, scale: heads.headDim ** -0.5, bias, rotary, mask: causalMask(window) })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'qwen2', config, maxPositions: 32_768, norm, heads, layer }, at)
  },
}
