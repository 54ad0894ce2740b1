import type { Architecture, ParameterSpec } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { layerNorms, llamaLike, preNormLayer, usualMlp } from '../llama-like.ts'
import { ownHeadNorms } from '../parts/norm.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import { selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** StableLM 2 (arXiv 2402.17834): LayerNorm, a quarter of each head rotated; the larger has one norm for attention and MLP, side by side. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 50_304,
    hidden_size: 2560,
    intermediate_size: 6912,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    layer_norm_eps: 1e-5,
    tie_word_embeddings: false,
    partial_rotary_factor: 0.25,
    use_qkv_bias: false,
    qk_layernorm: false,
    use_parallel_residual: false,
  },
  model: (config, at) => {
    const heads = headSizes({ ...config, head_dim: null })
    const hidden = count(config, 'hidden_size')
    const norm = { epsilon: positive(config, 'layer_norm_eps'), centered: true, bias: true }
    const bias = flag(config, 'use_qkv_bias')
    const headNorm = (name: string, number: number) => {
      const shape = [heads.headDim]
      const weights = Array.from({ length: number }, (_, i): ParameterSpec => {
        return { name: `self_attn.${name}.norms.${i}.weight`, shape, className: 'LayerNorm' }
      })
      return ownHeadNorms(norm, weights, heads.headDim)
    }
    const attention = selfAttention({
      ...heads,
      hidden,
      scale: heads.headDim ** -0.5,
      bias: { q: bias, k: bias, v: bias },
      rotary: rotaryTables(readRope(config, heads.headDim, { partial: true })),
      ...(flag(config, 'qk_layernorm') && {
        queryNorm: headNorm('q_layernorm', heads.heads),
        keyNorm: headNorm('k_layernorm', heads.kvHeads),
      }),
    })
    const mlp = usualMlp(config)
    const layer = flag(config, 'use_parallel_residual')
      ? parallelOfOneNorm(layerNorms(config, norm)('input_layernorm'), attention, mlp)
      : preNormLayer(config, norm, attention, mlp)
    return llamaLike({ modelType: 'stablelm', config, norm, heads, layer: () => layer }, at)
  },
}
