import type { Architecture } from '../architecture.ts'
import { type Config, count, flag, headSizes, optional, positive, section } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
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
  model: (config, at) => {
    const heads = headSizes({ head_dim: 256, ...config })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-6), offset: 1 } as const
    const activation = readActivation(config, 'hidden_activation', 'gelu_pytorch_tanh')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const pattern = count(config, 'sliding_window_pattern', 6)
    const types = layerTypes(config, (layer) => ((layer + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        ...headNorms(norm, heads.headDim),
        hidden,
        scale: positive(config, 'query_pre_attn_scalar', 256) ** -0.5,
        softcap: optional(config, 'attn_logit_softcapping'),
        bias: biases(flag(config, 'attention_bias', false)),
        rotary: rotaryTables(type === 'sliding_attention' ? localRope(config, heads.headDim) : globalRope(config, heads.headDim)),
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config, 4096) : null),
      })
      return sandwichLayer(config, norm, attention, mlp)
    })
    const cap = optional(config, 'final_logit_softcapping')
    const embed = scaledEmbedding(Math.sqrt(hidden))
    const bend = capped(cap)
    return llamaLike({ modelType: 'gemma3_text', config, tied: true, maxPositions: 131_072, norm, heads, layer, embed, bend }, at)
  },
}

function globalRope(config: Config, headDim: number): Rope {
  return readRope(config, headDim, { theta: 1_000_000, layerType: 'full_attention' })
}

/** Older files give it a key of its own, and scale the global one only. */
function localRope(config: Config, headDim: number): Rope {
  const parameters = section(config, 'rope_parameters')
  if (parameters) return readRope(config, headDim, { theta: 10_000, layerType: 'sliding_attention' })
  return readRope({ rope_theta: positive(config, 'rope_local_base_freq', 10_000) }, headDim)
}
