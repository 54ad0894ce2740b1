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
  defaults: {
    vocab_size: 49_152,
    hidden_size: 3072,
    intermediate_size: 12_288,
    num_hidden_layers: 30,
    num_attention_heads: 24,
    num_key_value_heads: 2,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 4096,
    norm_epsilon: 1e-5,
    use_bias: true,
    tie_word_embeddings: true,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'norm_epsilon'), centered: true, bias: true }
    const bias = flag(config, 'use_bias')
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: biases(bias),
      rotary: rotaryTables(readRope(config, heads.headDim)),
      mask: causalMask(slidingWindow(config)),
    })
    const activation = readActivation(config, 'hidden_act')
    const names = { up: 'c_fc', down: 'c_proj' }
    const mlp = plainMlp({ hidden, inner: count(config, 'intermediate_size'), activation, bias, names })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'starcoder2', config, norm, heads, layer: () => layer }, at)
  },
}
