import type { Model, TextModel } from './architecture.ts'
import { type Config, count, flag, type HeadSizes } from './config-values.ts'
import { type DecoderSizes, decoder, type HeadPart } from './decoder.ts'
import { readActivation } from './parts/activations.ts'
import type { EmbedPart } from './parts/embed.ts'
import { sequential } from './parts/layer.ts'
import { gatedMlp } from './parts/mlp.ts'
import { type Norm, type NormKind, norm } from './parts/norm.ts'
import type { Part, PartMaker } from './parts/part.ts'

/** A family that names its tensors as Llama does. */
export interface LlamaLike {
  readonly modelType: string
  readonly config: Config
  readonly norm: NormKind
  readonly heads: HeadSizes
  /** The same object for layers that are alike. */
  layer(index: number): Part
  readonly embed?: EmbedPart
  readonly bend?: HeadPart['bend']
  readonly headBias?: boolean
}

/** Sizes by their usual keys in config.json. Errors: CheckpointError naming the key. */
export function decoderSizes(config: Config): DecoderSizes {
  return {
    layers: count(config, 'num_hidden_layers'),
    hidden: count(config, 'hidden_size'),
    vocab: count(config, 'vocab_size'),
    maxPositions: count(config, 'max_position_embeddings'),
    tied: flag(config, 'tie_word_embeddings'),
  }
}

/** A model with Llama's names: `model.embed_tokens`, `model.layers.3.self_attn`, `model.norm`, `lm_head`. */
export function llamaLike(like: LlamaLike, { base, head }: TextModel = { base: 'model', head: 'lm_head' }): Model {
  const { config, heads, embed } = like
  const sizes = decoderSizes(config)
  return decoder({
    ...sizes,
    modelType: like.modelType,
    attention: { module: 'self_attn', heads: heads.heads, kvHeads: heads.kvHeads, headDim: heads.headDim },
    embedding: `${base}.embed_tokens`,
    layerList: `${base}.layers`,
    ...(embed && { embed }),
    layer: like.layer,
    head: {
      norm: norm(like.norm, `${base}.norm`, sizes.hidden),
      name: head,
      ...(like.bend && { bend: like.bend }),
      ...(like.headBias && { bias: true }),
    },
  })
}

/** The norms of a layer by name, all of the hidden size. */
export function layerNorms(config: Config, kind: NormKind): (name: string) => Norm {
  const hidden = count(config, 'hidden_size')
  return (name) => norm(kind, name, hidden)
}

/** A gated MLP by the usual keys of config.json. */
export function usualMlp(config: Config, bias = false): PartMaker {
  return gatedMlp({
    hidden: count(config, 'hidden_size'),
    inner: count(config, 'intermediate_size'),
    activation: readActivation(config, 'hidden_act'),
    bias,
  })
}

/** A layer with a norm before each part, as Llama's; what the parts add is multiplied. */
export function preNormLayer(config: Config, kind: NormKind, attention: PartMaker, mlp: PartMaker, multiplier = 1): Part {
  const named = layerNorms(config, kind)
  return sequential([
    { before: named('input_layernorm'), part: attention, multiplier },
    { before: named('post_attention_layernorm'), part: mlp, multiplier },
  ])
}

/** A layer with a norm before and after each part, as Gemma 2's. */
export function sandwichLayer(config: Config, kind: NormKind, attention: PartMaker, mlp: PartMaker): Part {
  const named = layerNorms(config, kind)
  return sequential([
    { before: named('input_layernorm'), part: attention, after: named('post_attention_layernorm') },
    { before: named('pre_feedforward_layernorm'), part: mlp, after: named('post_feedforward_layernorm') },
  ])
}
