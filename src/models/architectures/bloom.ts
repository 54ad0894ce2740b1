import type { Architecture, TextModel } from '../architecture.ts'
import { count, flag, headSizes, mustBe, positive } from '../config-values.ts'
import { decoder, nameBelow } from '../decoder.ts'
import { geluTanh } from '../parts/activations.ts'
import { normedEmbedding } from '../parts/embed.ts'
import { sequential } from '../parts/layer.ts'
import { plainMlp } from '../parts/mlp.ts'
import { norm } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'
import { alibiMask } from '../parts/tables.ts'

/** Saved by transformers; as the published files are. */
const PLACES: readonly [TextModel, TextModel] = [
  { base: 'transformer', head: 'lm_head' },
  { base: '', head: 'lm_head' },
]

/** BLOOM (arXiv 2211.05100): ALiBi for positions, a norm of the embedding, LayerNorm, one linear for q, k and v. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 250_880,
    layer_norm_epsilon: 1e-5,
    apply_residual_connection_post_layernorm: false,
    seq_length: 2048,
    tie_word_embeddings: true,
  },
  places: PLACES,
  model: (config, { base, head } = PLACES[0]) => {
    mustBe(config, 'apply_residual_connection_post_layernorm', false)
    const hidden = count({ hidden_size: config.n_embed ?? config.hidden_size }, 'hidden_size')
    const heads = headSizes({ num_attention_heads: config.n_head ?? config.num_attention_heads, hidden_size: hidden })
    const kind = { epsilon: positive(config, 'layer_norm_epsilon'), centered: true, bias: true }
    const attention = selfAttention({
      ...heads,
      hidden,
      module: 'self_attention',
      names: { o: 'dense' },
      fused: { name: 'query_key_value', order: 'groups' },
      scale: heads.headDim ** -0.5,
      bias: biases(true),
      rotary: null,
      mask: alibiMask({ heads: heads.heads }),
    })
    const names = { up: 'dense_h_to_4h', down: 'dense_4h_to_h' }
    const mlp = plainMlp({ hidden, inner: 4 * hidden, activation: geluTanh, bias: true, names })
    const layer = sequential([
      { before: norm(kind, 'input_layernorm', hidden), part: attention },
      { before: norm(kind, 'post_attention_layernorm', hidden), part: mlp },
    ])
    return decoder({
      modelType: 'bloom',
      layers: count({ num_hidden_layers: config.n_layer, ...config }, 'num_hidden_layers'),
      hidden,
      vocab: count(config, 'vocab_size'),
      maxPositions: count(config, 'seq_length'),
      tied: flag(config, 'tie_word_embeddings'),
      attention: { module: 'self_attention', ...heads },
      embedding: nameBelow(base, 'word_embeddings'),
      layerList: nameBelow(base, 'h'),
      embed: normedEmbedding(norm(kind, nameBelow(base, 'word_embeddings_layernorm'), hidden)),
      layer: () => layer,
      head: { norm: norm(kind, nameBelow(base, 'ln_f'), hidden), name: head },
    })
  },
}
