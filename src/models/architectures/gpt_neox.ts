import type { Architecture } from '../architecture.ts'
import { count, flag, headSizes, positive } from '../config-values.ts'
import { decoder } from '../decoder.ts'
import { decoderSizes, layerNorms } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { parallel, sequential } from '../parts/layer.ts'
import { plainMlp } from '../parts/mlp.ts'
import { norm } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/** GPT-NeoX and Pythia (arXiv 2204.06745): attention and MLP side by side, a quarter of each head rotated, one linear for q, k and v. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 50_432,
    hidden_size: 6144,
    intermediate_size: 24_576,
    num_hidden_layers: 44,
    num_attention_heads: 64,
    hidden_act: 'gelu',
    max_position_embeddings: 2048,
    layer_norm_eps: 1e-5,
    tie_word_embeddings: false,
    use_parallel_residual: true,
    rotary_emb_base: 10_000,
    rotary_pct: 0.25,
    attention_bias: true,
  },
  model: (config) => {
    const sizes = decoderSizes(config)
    const { hidden } = sizes
    // As many key-value heads as heads, whatever config.json says.
    const heads = headSizes({ num_attention_heads: config.num_attention_heads, hidden_size: hidden })
    const kind = { epsilon: positive(config, 'layer_norm_eps'), centered: true, bias: true }
    const rope = { ...config, rope_theta: config.rotary_emb_base, partial_rotary_factor: config.rotary_pct }
    const attention = selfAttention({
      ...heads,
      hidden,
      module: 'attention',
      names: { o: 'dense' },
      fused: { name: 'query_key_value', order: 'groups' },
      scale: heads.headDim ** -0.5,
      bias: biases(flag(config, 'attention_bias')),
      rotary: rotaryTables(readRope(rope, heads.headDim, { partial: true })),
    })
    const mlp = plainMlp({
      hidden,
      inner: count(config, 'intermediate_size'),
      activation: readActivation(config, 'hidden_act'),
      bias: true,
      names: { up: 'dense_h_to_4h', down: 'dense_4h_to_h' },
    })
    const named = layerNorms(config, kind)
    const arrange = flag(config, 'use_parallel_residual') ? parallel : sequential
    const layer = arrange([
      { before: named('input_layernorm'), part: attention },
      { before: named('post_attention_layernorm'), part: mlp },
    ])
    return decoder({
      ...sizes,
      modelType: 'gpt_neox',
      attention: { module: 'attention', ...heads },
      embedding: 'gpt_neox.embed_in',
      layerList: 'gpt_neox.layers',
      layer: () => layer,
      head: { norm: norm(kind, 'gpt_neox.final_layer_norm', hidden), name: 'embed_out', alias: 'lm_head' },
    })
  },
}
