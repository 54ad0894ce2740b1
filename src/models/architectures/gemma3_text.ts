import type { Architecture } from '../architecture.ts'
import { type Config, count, flag, headSizes, mustBe, optional, positive } from '../config-values.ts'
import { type AttentionType, byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, sandwichLayer } from '../llama-like.ts'
import { capped, readActivation } from '../parts/activations.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { headNorms } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'
import type { Rope } from '../rope-frequencies.ts'

/**
 * Gemma 3's text model (arXiv 2503.19786): Gemma 2 with norms of query and key heads, no softcaps, five local layers to a global one, which
 * have a RoPE of their own.
 */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 262_208,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    attention_bias: false,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    sliding_window_pattern: 6,
    rope_theta: 1_000_000,
    rope_local_base_freq: 10_000,
  },
  model: (config, at) => {
    mustBe(config, 'use_bidirectional_attention', false)
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps'), offset: 1 } as const
    const activation = readActivation(config, 'hidden_activation')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const pattern = count(config, 'sliding_window_pattern')
    const types = layerTypes(config, (layer) => ((layer + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        ...headNorms(norm, heads.headDim),
        hidden,
        scale: positive(config, 'query_pre_attn_scalar') ** -0.5,
        softcap: optional(config, 'attn_logit_softcapping'),
        bias: biases(flag(config, 'attention_bias')),
        rotary: rotaryTables(ropeOf(config, heads.headDim, type)),
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config) : null),
      })
      return sandwichLayer(config, norm, attention, mlp)
    })
    const cap = optional(config, 'final_logit_softcapping')
    const embed = scaledEmbedding(Math.sqrt(hidden))
    const bend = capped(cap)
    return llamaLike({ modelType: 'gemma3_text', config, norm, heads, layer, embed, bend }, at)
  },
}

/** Global layers have the scaling and the base that the whole model has in older files; local ones a base by a key of their own. */
function ropeOf(config: Config, headDim: number, type: AttentionType): Rope {
  if (type !== 'sliding_attention') return readRope(config, headDim, { layerType: type })
  return readRope({ ...config, rope_scaling: null, rope_theta: config.rope_local_base_freq }, headDim, { layerType: type })
}
