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
  defaults: {
    vocab_size: 151_936,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 24,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    attention_bias: false,
    use_sliding_window: false,
    sliding_window: 4096,
    decoder_sparse_step: 1,
    moe_intermediate_size: 768,
    num_experts_per_tok: 8,
    norm_topk_prob: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const activation = readActivation(config, 'hidden_act')
    const attention = selfAttention({
      ...heads,
      ...headNorms(norm, heads.headDim),
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(flag(config, 'use_sliding_window') ? slidingWindow(config) : null),
    })
    const number = count(config, 'num_experts', count(config, 'num_local_experts', 128))
    const mixture = experts({
      hidden,
      inner: count(config, 'moe_intermediate_size'),
      count: number,
      module: 'mlp.experts',
      activation,
      router: softmaxRouter({
        name: 'mlp.gate',
        hidden,
        experts: number,
        chosen: count(config, 'num_experts_per_tok'),
        normalize: flag(config, 'norm_topk_prob'),
      }),
    })
    const layer = byKind(sparseLayers(config), (isSparse) => {
      const mlp = isSparse ? mixture : gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'qwen3_moe', config, norm, heads, layer }, at)
  },
}

/** Which layers have experts: every `decoder_sparse_step`-th, but for those of `mlp_only_layers`. */
function sparseLayers(config: Config): boolean[] {
  const step = count(config, 'decoder_sparse_step')
  const plain = numberList(config, 'mlp_only_layers')
  return Array.from({ length: count(config, 'num_hidden_layers') }, (_, layer) => !plain.includes(layer) && (layer + 1) % step === 0)
}
