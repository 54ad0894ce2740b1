import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, mustBe, optional, positive } from '../config-values.ts'
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
  defaults: {
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    attention_bias: false,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
  },
  model: (config, at) => {
    mustBe(config, 'use_bidirectional_attention', false)
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps'), offset: 1 } as const
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const activation = readActivation(config, 'hidden_activation')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const types = layerTypes(config, (layer) => (layer % 2 === 0 ? 'sliding_attention' : 'full_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: positive(config, 'query_pre_attn_scalar') ** -0.5,
        softcap: optional(config, 'attn_logit_softcapping'),
        bias: biases(flag(config, 'attention_bias')),
        rotary,
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config) : null),
      })
      return sandwichLayer(config, norm, attention, mlp)
    })
    const cap = optional(config, 'final_logit_softcapping')
    const embed = scaledEmbedding(Math.sqrt(hidden))
    const bend = capped(cap)
    return llamaLike({ modelType: 'gemma2', config, norm, heads, layer, embed, bend }, at)
  },
}
