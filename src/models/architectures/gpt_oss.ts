import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, layerTypes, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { topSoftmaxRouter } from '../parts/router.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { stackedExperts } from '../parts/stacked-experts.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** gpt-oss (arXiv 2508.10925): attention sinks, a sliding window in every other layer, experts stored in one piece. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes({ head_dim: 64, ...config })
    const hidden = count(config, 'hidden_size')
    const inner = count(config, 'intermediate_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps', 1e-5) }
    const number = count(config, 'num_local_experts', 128)
    const rotary = rotaryTables(readRope(config, heads.headDim, { theta: 150_000 }))
    const mlp = stackedExperts({
      hidden,
      inner,
      count: number,
      module: 'mlp.experts',
      bias: true,
      between: clampedGate,
      router: topSoftmaxRouter({ name: 'mlp.router', hidden, experts: number, chosen: count(config, 'num_experts_per_tok', 4) }),
    })
    const types = layerTypes(config, (layer) => (layer % 2 === 0 ? 'sliding_attention' : 'full_attention'))
    const layer = byKind(types, (type) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias', true)),
        rotary,
        mask: causalMask(type === 'sliding_attention' ? slidingWindow(config, 128) : null),
        sinks: 'sinks',
      })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'gpt_oss', config, maxPositions: 131_072, norm, heads, layer }, at)
  },
}

const LIMIT = 7
const STEEPNESS = 1.702

/** (up + 1) * gate * sigmoid(1.702 gate), both clamped; gate and up alternate. */
function clampedGate(gateUp: Tensor2D): Tensor2D {
  const [tokens, width] = gateUp.shape
  const pairs = tf.reshape(gateUp, [tokens, width / 2, 2])
  const part = (index: number) => tf.reshape(tf.slice(pairs, [0, 0, index], [tokens, width / 2, 1]), [tokens, width / 2])
  const gate = tf.minimum<Tensor2D>(part(0), LIMIT)
  const up = tf.clipByValue(part(1), -LIMIT, LIMIT)
  return tf.mul(tf.add(up, 1), tf.mul(gate, tf.sigmoid(tf.mul(gate, STEEPNESS))))
}
