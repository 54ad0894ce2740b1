import type { Architecture } from '../architecture.ts'
import { count, headSizes, positive } from '../config-values.ts'
import { slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { experts } from '../parts/experts.ts'
import { softmaxRouter } from '../parts/router.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Mixtral (arXiv 2401.04088): Mistral with a mixture of experts for the MLP. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-5) }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      rotary: rotaryTables(readRope(config, heads.headDim, { theta: 1_000_000 })),
      mask: causalMask(slidingWindow(config)),
    })
    const number = count(config, 'num_local_experts', 8)
    const chosen = count(config, 'num_experts_per_tok', 2)
    const mlp = experts({
      hidden,
      inner: count(config, 'intermediate_size'),
      count: number,
      module: 'block_sparse_moe.experts',
      names: { gate: 'w1', up: 'w3', down: 'w2' },
      activation: readActivation(config, 'hidden_act', 'silu'),
      router: softmaxRouter({ name: 'block_sparse_moe.gate', hidden, experts: number, chosen, normalize: true }),
    })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'mixtral', config, maxPositions: 131_072, norm, heads, layer: () => layer }, at)
  },
}
