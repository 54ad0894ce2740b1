import type { Architecture } from '../architecture.ts'
import { type Config, count, headSizes, positive, section } from '../config-values.ts'
import { slidingWindow } from '../layer-kinds.ts'
import { llamaLike, preNormLayer } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { fusedGatedMlp } from '../parts/mlp.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** Phi-3 and Phi-4 (arXiv 2404.14219): Llama with queries, keys and values in one linear, gate and up in another. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 32_064,
    hidden_size: 3072,
    intermediate_size: 8192,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  },
  model: (config, at) => {
    const heads = headSizes(config)
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'rms_norm_eps') }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      fused: { name: 'qkv_proj', order: 'blocks' },
      rotary: rotaryTables(readRope(longRope(config), heads.headDim, { partial: true })),
      mask: causalMask(slidingWindow(config)),
    })
    const activation = readActivation(config, 'hidden_act')
    const mlp = fusedGatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation })
    const layer = preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'phi3', config, norm, heads, layer: () => layer }, at)
  },
}

/** What older files of the family call YaRN has LongRoPE's two lists, and is that. */
function longRope(config: Config): Config {
  const scaling = section(config, 'rope_scaling')
  if (!scaling || (scaling.rope_type ?? scaling.type) !== 'yarn') return config
  return { ...config, rope_scaling: { ...scaling, rope_type: 'longrope' } }
}
