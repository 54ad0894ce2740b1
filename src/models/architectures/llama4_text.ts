import type { Tensor3D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { type Config, count, flag, headSizes, numberList, positive } from '../config-values.ts'
import { byKind, layerTypes, rotatedLayers } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { type Activation, readActivation } from '../parts/activations.ts'
import { experts } from '../parts/experts.ts'
import { gatedMlp } from '../parts/mlp.ts'
import { normalize } from '../parts/norm.ts'
import type { Scope, Table } from '../parts/part.ts'
import { topSigmoidRouter } from '../parts/router.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, chunkedMask, rotaryTables, rowTable } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/**
 * Llama 4's text model: local layers attend within chunks and rotate neighbouring channels, every fourth sees all and does without positions;
 * a mixture of experts with a shared one beside.
 */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 202_048,
    hidden_size: 5120,
    intermediate_size: 8192,
    num_hidden_layers: 48,
    num_attention_heads: 40,
    num_key_value_heads: 8,
    intermediate_size_mlp: 16_384,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    num_experts_per_tok: 1,
    num_local_experts: 16,
    interleave_moe_layer_step: 1,
    use_qk_norm: true,
    rope_theta: 500_000,
    no_rope_layer_interval: 4,
    attention_chunk_size: 8192,
    attn_temperature_tuning: true,
    floor_scale: 8192,
    attn_scale: 0.1,
    attention_bias: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const rotary = rotaryTables(readRope(config, heads.headDim), true)
    const activation = readActivation(config, 'hidden_act')
    const dense = gatedMlp({ hidden, inner: count(config, 'intermediate_size_mlp'), module: 'feed_forward', activation })
    const mixture = mixtureOf(config, hidden, activation)
    const sparse = sparseLayers(config)
    const rotated = rotatedLayers(config)
    const types = layerTypes(config, (layer) => (rotated[layer] ? 'chunked_attention' : 'full_attention'))
    const chunk = count(config, 'attention_chunk_size')
    const temperature = flag(config, 'attn_temperature_tuning') ? temperatures(config) : null
    const headNorm = flag(config, 'use_qk_norm')
    const layer = byKind(
      types.map((type, index) => ({ type, isRotated: rotated[index], isSparse: sparse[index] })),
      ({ type, isRotated, isSparse }) => {
        const tuned = isRotated ? null : temperature
        const attention = selfAttention({
          ...heads,
          hidden,
          scale: heads.headDim ** -0.5,
          bias: biases(flag(config, 'attention_bias')),
          rotary: isRotated ? rotary : null,
          mask: type === 'chunked_attention' ? chunkedMask(chunk) : causalMask(),
          tables: tuned ? [tuned] : [],
          afterRotation: (x: Tensor3D, of: 'queries' | 'keys', scope: Scope) => {
            if (isRotated) return headNorm ? normalize(x, norm.epsilon) : x
            return tuned && of === 'queries' ? tf.mul(x, scope.table(tuned)) : x
          },
        })
        return preNormLayer(config, norm, attention, isSparse ? mixture : dense)
      },
    )
    return llamaLike({ modelType: 'llama4_text', config, norm, heads, layer }, at)
  },
}

function mixtureOf(config: Config, hidden: number, activation: Activation): ReturnType<typeof experts> {
  const inner = count(config, 'intermediate_size')
  const number = count(config, 'num_local_experts')
  return experts({
    hidden,
    inner,
    count: number,
    module: 'feed_forward.experts',
    activation,
    router: topSigmoidRouter({ name: 'feed_forward.router', hidden, experts: number, chosen: count(config, 'num_experts_per_tok') }),
    shared: gatedMlp({ hidden, inner, module: 'feed_forward.shared_expert', activation }),
  })
}

/** Layers with experts: `moe_layers`, or every so many. */
function sparseLayers(config: Config): boolean[] {
  const layers = Array.from({ length: count(config, 'num_hidden_layers') }, (_, layer) => layer)
  const step = count(config, 'interleave_moe_layer_step')
  const listed = config.moe_layers === undefined || config.moe_layers === null ? null : numberList(config, 'moe_layers')
  return layers.map((layer) => listed?.includes(layer) ?? (layer + 1) % step === 0)
}

/** What queries of layers without positions are multiplied by, so that attention stays sharp far out (arXiv 2501.19399): [length, 1]. */
function temperatures(config: Config): Table {
  const [floor, scale] = [positive(config, 'floor_scale'), positive(config, 'attn_scale')]
  return rowTable(
    (length) => [length, 1],
    ({ start, length }) => Float32Array.from({ length }, (_, i) => Math.log1p(Math.floor((start + i + 1) / floor)) * scale + 1),
  )
}
