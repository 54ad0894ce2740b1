import type { Architecture, TextModel } from '../architecture.ts'
import { count, flag, headSizes, mustBe } from '../config-values.ts'
import { decoder, nameBelow } from '../decoder.ts'
import { decoderSizes, layerNorms } from '../llama-like.ts'
import { readActivation } from '../parts/activations.ts'
import { learnedPositions } from '../parts/embed.ts'
import { sequential } from '../parts/layer.ts'
import { plainMlp } from '../parts/mlp.ts'
import { norm } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'

const PLACES: readonly [TextModel, TextModel] = [
  { base: 'model.decoder', head: 'lm_head' },
  { base: 'decoder', head: 'lm_head' },
]

/** The table of positions starts with two rows that no token has. */
const SKIPPED = 2

/**
 * OPT (arXiv 2205.01068): learned positions, LayerNorm, ReLU. The 350m model normalizes the residual stream after each part instead, and
 * projects a narrower embedding up and down again.
 */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 50_272,
    hidden_size: 768,
    num_hidden_layers: 12,
    ffn_dim: 3072,
    max_position_embeddings: 2048,
    do_layer_norm_before: true,
    _remove_final_layer_norm: false,
    num_attention_heads: 12,
    activation_function: 'relu',
    enable_bias: true,
    layer_norm_elementwise_affine: true,
    tie_word_embeddings: true,
  },
  places: PLACES,
  model: (config, { base, head } = PLACES[0]) => {
    mustBe(config, 'layer_norm_elementwise_affine', true)
    const sizes = decoderSizes(config)
    const { hidden, maxPositions } = sizes
    const heads = headSizes({ num_attention_heads: config.num_attention_heads, hidden_size: hidden })
    const kind = { epsilon: 1e-5, centered: true, bias: true }
    const bias = flag(config, 'enable_bias')
    const attention = selfAttention({
      ...heads,
      hidden,
      names: { o: 'out_proj' },
      scale: heads.headDim ** -0.5,
      bias: biases(bias),
      rotary: null,
    })
    const activation = readActivation(config, 'activation_function')
    const mlp = plainMlp({ hidden, inner: count(config, 'ffn_dim'), module: '', activation, bias, names: { up: 'fc1', down: 'fc2' } })
    const normFirst = flag(config, 'do_layer_norm_before')
    const place = normFirst ? 'before' : 'sum'
    const named = layerNorms(config, kind)
    const layer = sequential([
      { part: attention, [place]: named('self_attn_layer_norm') },
      { part: mlp, [place]: named('final_layer_norm') },
    ])
    const width = count(config, 'word_embed_proj_dim', hidden)
    const hasFinalNorm = normFirst && !flag(config, '_remove_final_layer_norm')
    return decoder({
      ...sizes,
      modelType: 'opt',
      attention: { module: 'self_attn', ...heads },
      embedding: nameBelow(base, 'embed_tokens'),
      layerList: nameBelow(base, 'layers'),
      embed: learnedPositions({
        name: nameBelow(base, 'embed_positions'),
        positions: maxPositions,
        hidden,
        skipped: SKIPPED,
        ...(width !== hidden && { projection: { name: nameBelow(base, 'project_in'), width } }),
      }),
      layer: () => layer,
      head: {
        norm: hasFinalNorm ? norm(kind, nameBelow(base, 'final_layer_norm'), hidden) : null,
        name: head,
        ...(width !== hidden && { projection: { weight: `${nameBelow(base, 'project_out')}.weight`, width } }),
      },
    })
  },
}
