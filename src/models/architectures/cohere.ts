import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { layerNorms, llamaLike } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { ownHeadNorms } from '../parts/norm.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Command R: attention and MLP side by side behind one LayerNorm without bias, neighbouring channels rotated, logits scaled. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'layer_norm_eps', 1e-5), centered: true }
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
      bias: biases(flag(config, 'attention_bias', false)),
      rotary: rotaryTables(readRope(config, heads.headDim), true),
      ...(flag(config, 'use_qk_norm', false) && {
        queryNorm: headNorm('q_norm', heads.heads),
        keyNorm: headNorm('k_norm', heads.kvHeads),
      }),
    })
    const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation: readActivation(config, 'hidden_act', 'silu') })
    const layer = parallelOfOneNorm(layerNorms(config, norm)('input_layernorm'), attention, mlp)
    const scale = positive(config, 'logit_scale', 0.0625)
    return llamaLike(
      {
        modelType: 'cohere',
        config,
        tied: true,
        maxPositions: 8192,
        norm,
        heads,
        layer: () => layer,
        bend: (logits) => tf.mul(logits, scale),
      },
      at,
    )
  },
}
