import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { byKind, layerTypes, rotatedLayers, slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** SmolLM3: Llama in which every fourth layer does without rotary positions. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 11_008,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 2_000_000,
    use_sliding_window: false,
    no_rope_layer_interval: 4,
    attention_bias: false,
    mlp_bias: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const rotary = rotaryTables(readRope(config, heads.headDim))
    const mlp = usualMlp(config, flag(config, 'mlp_bias'))
    const rotated = rotatedLayers(config)
    const window = flag(config, 'use_sliding_window') ? slidingWindow(config) : null
    const types = layerTypes(config, (layer) => (window !== null && !rotated[layer] ? 'sliding_attention' : 'full_attention'))
    const kinds = types.map((type, layer) => ({ type, isRotated: rotated[layer] }))
    const layer = byKind(kinds, ({ type, isRotated }) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        scale: heads.headDim ** -0.5,
        bias: biases(flag(config, 'attention_bias')),
        rotary: isRotated ? rotary : null,
        mask: causalMask(type === 'sliding_attention' ? window : null),
      })
      return preNormLayer(config, norm, attention, mlp)
    })
    return llamaLike({ modelType: 'smollm3', config, norm, heads, layer }, at)
  },
}
