import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { experts } from '../parts/experts.ts'
import { topSoftmaxRouter } from '../parts/router.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope, ropeSection } from '../rope.ts'

/** gpt-oss (arXiv 2508.10925): attention sinks, a sliding window in every other layer, experts with biases and a clamped gate. */
export const architecture: Architecture = {
  alternatingExperts: true,
  defaults: {
    vocab_size: 201_088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_hidden_layers: 36,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    num_local_experts: 128,
    num_experts_per_tok: 4,
    sliding_window: 128,
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    rope_theta: 150_000,
    tie_word_embeddings: false,
    attention_bias: true,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const inner = count(config, 'intermediate_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const number = count(config, 'num_local_experts')
    const rotary = rotaryTables(readRope(ropeSection(config) ? config : { ...config, rope_parameters: YARN }, heads.headDim))
    const mlp = experts({
      hidden,
      inner,
      count: number,
      module: 'mlp.experts',
      bias: true,
      between: clampedGate,
      router: topSoftmaxRouter({ name: 'mlp.router', hidden, experts: number, chosen: count(config, 'num_experts_per_tok') }),
    })
    const types = layerTypes(config, (layer) => (layer % 2 === 0 ? 'sliding_attention' : 'full_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias')),
        rotary,
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config) : null),
        sinks: 'sinks',
      })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'gpt_oss', config, norm, heads, layer }, at)
  },
}

/** How its positions are stretched where config.json does not say. */
const YARN = { rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false, original_max_position_embeddings: 4096 }

const LIMIT = 7
const STEEPNESS = 1.702

/** (up + 1) * gate * sigmoid(1.702 gate), both clamped. */
function clampedGate(gate: Tensor2D, up: Tensor2D): Tensor2D {
  const low = tf.minimum<Tensor2D>(gate, LIMIT)
  return tf.mul(tf.add(tf.clipByValue(up, -LIMIT, LIMIT), 1), tf.mul(low, tf.sigmoid(tf.mul(low, STEEPNESS))))
}
