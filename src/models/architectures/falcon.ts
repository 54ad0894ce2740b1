import type { Architecture } from '../architecture.ts'
import { type Config, count, flag, headSizes, positive } from '../config-values.ts'
import { decoder } from '../decoder.ts'
import { decoderSizes, layerNorms } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { parallel, sequential } from '../parts/layer.ts'
import { plainMlp } from '../parts/mlp.ts'
import { type NormKind, norm } from '../parts/norm.ts'
import { parallelOfOneNorm } from '../parts/parallel-layer.ts'
import type { Part, PartMaker } from '../parts/part.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { alibiMask, causalMask, rotaryTables } from '../parts/tables.ts'
import { readRope } from '../rope.ts'

/**
 * Falcon (arXiv 2311.16867): attention and MLP side by side, behind one norm (7B) or two (40B and larger), or one after the other with ALiBi
 * (Falcon-RW); one linear for q, k and v.
 */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 65_024,
    hidden_size: 4544,
    num_hidden_layers: 32,
    num_attention_heads: 71,
    layer_norm_epsilon: 1e-5,
    alibi: false,
    new_decoder_architecture: false,
    multi_query: true,
    parallel_attn: true,
    bias: false,
    max_position_embeddings: 2048,
    activation: 'gelu',
    tie_word_embeddings: true,
  },
  model: (config) => {
    const sizes = decoderSizes(config)
    const { hidden } = sizes
    const isNew = flag(config, 'new_decoder_architecture')
    const heads = headSizes({ ...config, head_dim: null, num_key_value_heads: keyValueHeads(config, isNew) })
    const kind = { epsilon: positive(config, 'layer_norm_epsilon'), centered: true, bias: true }
    const bias = flag(config, 'bias')
    const scale = heads.headDim ** -0.5
    const alibi = flag(config, 'alibi')
    const attention = selfAttention({
      ...heads,
      hidden,
      module: 'self_attention',
      names: { o: 'dense' },
      fused: { name: 'query_key_value', order: 'groups' },
      scale,
      bias: biases(bias),
      rotary: alibi ? null : rotaryTables(readRope(config, heads.headDim)),
      // transformers scales the penalty like the scores, and works it out in bfloat16 (modeling_falcon.py, build_alibi_tensor).
      mask: alibi ? alibiMask({ heads: heads.heads, scale, rounded: true }) : causalMask(),
    })
    const mlp = plainMlp({
      hidden,
      inner: count(config, 'ffn_hidden_size', 4 * hidden),
      activation: readActivation(config, 'activation'),
      bias,
      names: { up: 'dense_h_to_4h', down: 'dense_4h_to_h' },
    })
    const layer = arrange(config, isNew, kind, attention, mlp)
    return decoder({
      ...sizes,
      modelType: 'falcon',
      attention: { module: 'self_attention', ...heads },
      embedding: 'transformer.word_embeddings',
      layerList: 'transformer.h',
      layer: () => layer,
      head: { norm: norm(kind, 'transformer.ln_f', hidden) },
    })
  },
}

function keyValueHeads(config: Config, isNew: boolean): number {
  if (!isNew && flag(config, 'multi_query')) return 1
  return count(config, 'num_kv_heads', count(config, 'num_attention_heads'))
}

function arrange(config: Config, isNew: boolean, kind: NormKind, attention: PartMaker, mlp: PartMaker): Part {
  const named = layerNorms(config, kind)
  if (!isNew && !flag(config, 'parallel_attn')) {
    return sequential([
      { before: named('input_layernorm'), part: attention },
      { before: named('post_attention_layernorm'), part: mlp },
    ])
  }
  if (!isNew || count(config, 'num_ln_in_parallel_attn', 2) === 1) return parallelOfOneNorm(named('input_layernorm'), attention, mlp)
  return parallel([
    { before: named('ln_attn'), part: attention },
    { before: named('ln_mlp'), part: mlp },
  ])
}
