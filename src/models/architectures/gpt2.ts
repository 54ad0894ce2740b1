import type { Architecture, TextModel } from '../architecture.ts'
import { count, flag, headSizes, optional, positive } from '../config-values.ts'
import { decoder, nameBelow } from '../decoder.ts'
import { byKind } from '../layer-kinds.ts'
import { readActivation } from '../parts/activations.ts'
import { learnedPositions } from '../parts/embed.ts'
import { sequential } from '../parts/layer.ts'
import { plainMlp } from '../parts/mlp.ts'
import { norm } from '../parts/norm.ts'
import { biases, selfAttention } from '../parts/self-attention.ts'

/** Saved by transformers; as the published files are. */
const PLACES: readonly [TextModel, TextModel] = [
  { base: 'transformer', head: 'lm_head' },
  { base: '', head: 'lm_head' },
]

/** GPT-2: learned positions, LayerNorm, an MLP without a gate; all linears are Conv1D, stored transposed. */
export const architecture: Architecture = {
  defaults: {
    n_positions: 1024,
    activation_function: 'gelu_new',
    layer_norm_epsilon: 1e-5,
    scale_attn_weights: true,
    scale_attn_by_inverse_layer_idx: false,
    tie_word_embeddings: true,
  },
  places: PLACES,
  model: (config, { base, head } = PLACES[0]) => {
    const hidden = count(config, 'n_embd')
    const heads = headSizes({ num_attention_heads: config.n_head, hidden_size: hidden })
    const layers = count(config, 'n_layer')
    const positions = count(config, 'n_positions')
    const kind = { epsilon: positive(config, 'layer_norm_epsilon'), centered: true, bias: true }
    const scale = flag(config, 'scale_attn_weights') ? heads.headDim ** -0.5 : 1
    const byLayer = flag(config, 'scale_attn_by_inverse_layer_idx')
    const mlp = plainMlp({
      hidden,
      inner: optional(config, 'n_inner') === null ? 4 * hidden : count(config, 'n_inner'),
      activation: readActivation(config, 'activation_function'),
      bias: true,
      transposed: true,
      names: { up: 'c_fc', down: 'c_proj' },
    })
    const divisors = Array.from({ length: layers }, (_, layer) => (byLayer ? layer + 1 : 1))
    const layer = byKind(divisors, (divisor) => {
      const attention = selfAttention({
        ...heads,
        hidden,
        module: 'attn',
        names: { o: 'c_proj' },
        fused: { name: 'c_attn', order: 'blocks' },
        scale: scale / divisor,
        bias: biases(true),
        transposed: true,
        rotary: null,
      })
      return sequential([
        { before: norm(kind, 'ln_1', hidden), part: attention },
        { before: norm(kind, 'ln_2', hidden), part: mlp },
      ])
    })
    return decoder({
      modelType: 'gpt2',
      layers,
      hidden,
      vocab: count(config, 'vocab_size'),
      maxPositions: positions,
      tied: flag(config, 'tie_word_embeddings'),
      attention: { module: 'attn', ...heads },
      embedding: nameBelow(base, 'wte'),
      layerList: nameBelow(base, 'h'),
      embed: learnedPositions({ name: nameBelow(base, 'wpe'), positions, hidden }),
      layer,
      head: { norm: norm(kind, nameBelow(base, 'ln_f'), hidden), name: head },
    })
  },
}
