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
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1_000_000,
    num_experts_per_tok: 2,
    num_local_experts: 8,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(slidingWindow(config)),
    })
    const number = count(config, 'num_local_experts')
    const chosen = count(config, 'num_experts_per_tok')
    const mlp = experts({
      hidden,
      inner: count(config, 'intermediate_size'),
      count: number,
      module: 'block_sparse_moe.experts',
      names: { gate: 'w1', up: 'w3', down: 'w2' },
      activation: readActivation(config, 'hidden_act'),
      router: softmaxRouter({ name: 'block_sparse_moe.gate', hidden, experts: number, chosen, normalize: true }),
    })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'mixtral', config, norm, heads, layer: () => layer }, at)
  },
}
