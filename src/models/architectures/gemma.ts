import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, mustBe, positive } from '../config-values.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { scaledEmbedding } from '../parts/embed.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Gemma (arXiv 2403.08295): norms multiply by 1 + weight, the embedding by the root of the hidden size; a gated GELU. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 256_000,
    hidden_size: 3072,
    intermediate_size: 24_576,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: 256,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    attention_bias: false,
  },
  model: (config, at) => {
    mustBe(config, 'use_bidirectional_attention', false)
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps'), offset: 1 } as const
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(config, heads.headDim)),
    })
    const activation = readActivation(config, 'hidden_act')
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const layer = preNormLayer(config, norm, attention, mlp)
    const embed = scaledEmbedding(Math.sqrt(hidden))
    return llamaLike({ modelType: 'gemma', config, norm, heads, layer: () => layer, embed }, at)
  },
}
