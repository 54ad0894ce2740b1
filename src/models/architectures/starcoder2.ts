import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { plainMlp } from '../parts/mlp.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** StarCoder2 (arXiv 2402.19173): LayerNorm, biases, an MLP without a gate. */
export const architecture: Architecture = {
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'norm_epsilon', 1e-5), centered: true, bias: true }
    const bias = flag(config, 'use_bias', true)
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(bias),
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(slidingWindow(config)),
    })
    const activation = readActivation(config, 'hidden_act', 'gelu_pytorch_tanh')
    const names = { up: 'c_fc', down: 'c_proj' }
    const mlp = plainMlp({ hidden, inner: count(config, 'intermediate_size'), activation, bias, names })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'starcoder2', config, tied: true, maxPositions: 4096, norm, heads, layer: () => layer }, at)
  },
}
