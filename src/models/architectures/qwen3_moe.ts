import type { Architecture } from '../architecture.ts'
import { type Config, count, flag, headSizes, numberList, positive } from '../config-values.ts'
import { byKind, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { experts } from '../parts/experts.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { headNorms } from '../parts/norm.ts'
import { softmaxRouter } from '../parts/router.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Qwen 3's mixture of experts (arXiv 2505.09388); some layers may have a plain MLP. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6) }
    const activation = readActivation(config, 'hidden_act', 'silu')
    const attention = selfAttention({
      ...heads,
      ...headNorms(norm, heads.headDim),
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias', false)),
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(flag(config, 'use_sliding_window', false) ? slidingWindow(config, 4096) : null),
    })
    const number = count(config, 'num_experts', count(config, 'num_local_experts', 128))
    const mixture = experts({
      hidden,
      inner: count(config, 'moe_intermediate_size', 768),
      count: number,
      module: 'mlp.experts',
      activation,
      router: softmaxRouter({
        name: 'mlp.gate',
        hidden,
        experts: number,
        chosen: count(config, 'num_experts_per_tok', 8),
        normalize: flag(config, 'norm_topk_prob', false),
      }),
    })
    const layer = byKind(sparseLayers(config), (isSparse) => {
      const mlp = isSparse ? mixture : gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'qwen3_moe', config, maxPositions: 32_768, norm, heads, layer }, at)
  },
}

/** Which layers have experts: every `decoder_sparse_step`-th, but for those of `mlp_only_layers`. */
function sparseLayers(config: Config): boolean[] {
  const step = count(config, 'decoder_sparse_step', 1)
  const plain = numberList(config, 'mlp_only_layers')
  return Array.from({ length: count(config, 'num_hidden_layers') }, (_, layer) => !plain.includes(layer) && (layer + 1) % step === 0)
}
