import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { layerNorms, llamaLike, usualMlp } from '../llama-like.ts'
import { ownHeadNorms } from '../parts/norm.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Command R: attention and MLP side by side behind one LayerNorm without bias, neighbouring channels rotated, logits scaled. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 256_000,
    hidden_size: 8192,
    intermediate_size: 22_528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    layer_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 500_000,
    logit_scale: 0.0625,
    attention_bias: false,
    use_qk_norm: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'layer_norm_eps'), centered: true }
    const headNorm = (name: string, number: number) =>
      ownHeadNorms(
        norm,
        [{ name: `self_attn.${name}.weight`, shape: [number, heads.headDim], className: 'CohereLayerNorm' }],
        heads.headDim,
      )
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(config, heads.headDim), true),
      ...(flag(config, 'use_qk_norm') && {
        queryNorm: headNorm('q_norm', heads.heads),
        keyNorm: headNorm('k_norm', heads.kvHeads),
      }),
    })
    const mlp = usualMlp(config)
    const layer = parallelOfOneNorm(layerNorms(config, norm)('input_layernorm'), attention, mlp)
    const scale = positive(config, 'logit_scale')
    return llamaLike(
      {
        modelType: 'cohere',
        config,

        norm,
        heads,
        layer: () => layer,
        bend: (logits) => tf.mul(logits, scale),
      },
      at,
    )
  },
}
