import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core'
import type { Config } from './config-values.ts'

/** Linears that read the same input: one fusion group for servers, one Hessian for GPTQ, one unit of reporting. */
export interface StageSpec {
  /** For people: `attention inputs`. */
  readonly name: string
  /** Module names below the layer: `self_attn.q_proj`. */
  readonly linears: readonly string[]
  /**
   * The module whose output channels are these linears' input channels, so that it can take up a rescaling of them; null where none can.
   */
  readonly source: StageSource | null
  /** True where the output of the only linear is added to the residual stream as it is. */
  readonly addsToResidual: boolean
  /** Other stages of the layer read the very same input: what is measured of it serves all that have this mark. */
  readonly sharedInput?: true
  /** Which of its linears servers fuse, where it is not all of them. */
  readonly fused?: readonly (readonly string[])[]
}

/**
 * What the inputs of a stage come from; `name` is below the layer, or full at the head.
 * - norm: x * (weight + offset) (+ bias), a channel an element; only these linears read it. `centered`: x is without its mean (LayerNorm);
 *   `inner`: x is something else than the residual stream.
 * - linear: input channel c of the stage is row `rows[c]` of its weight (row c where `rows` is left out), up to what happens between them:
 *   nothing (values through attention) or a product with something else (up_proj times the gate). Attention with grouped queries repeats
 *   rows: the counts then differ.
 */
export type StageSource =
  | { readonly kind: 'norm'; readonly name: string; readonly offset: 0 | 1; readonly centered: boolean; readonly inner?: true }
  | { readonly kind: 'linear'; readonly name: string; readonly rows?: readonly number[] }

/** What a layer asks for: the outputs of `stage.linears` applied to `input`. Tensors in `keep` outlive the request. */
export interface StageRequest {
  readonly stage: StageSpec
  /** [tokens, columns], of float32 or bfloat16 (`engine/bfloat16.ts`). */
  readonly input: Tensor2D
  /** The outputs may be in bfloat16, where products of the run are: only operations that take it come next. */
  readonly mayBeRounded?: true
  readonly keep: readonly Tensor[]
  /** The residual stream [tokens, hidden] that the output is added to, one of `keep`; given where the stage `addsToResidual`. */
  readonly residual?: Tensor2D
}

/** Work in the midst of a layer that is done on plain arrays: not every engine can be read without waiting. */
export interface HostRequest {
  readonly read: readonly Tensor[]
  /** The work reads nothing else that a later token changes, but what its hooks hold, and always gives tensors of the same shapes. */
  readonly repeatable?: true
  /** Gets what was asked to `read`, in that order and not to be written to; gives what the walk goes on with. */
  readonly work: (values: readonly Float32Array[]) => readonly Tensor2D[]
  /** As in `StageRequest`. */
  readonly keep: readonly Tensor[]
}

/** What attention hands to a cache that holds the tokens before; plain arrays that the cache may keep no reference to. */
export interface CachedStep {
  /** [rows * heads, length, headDim], rotated and scaled. */
  readonly queries: Float32Array
  /** [rows * kvHeads, length, headDim], rotated. */
  readonly keys: Float32Array
  /** [rows * kvHeads, length, valueDim] */
  readonly values: Float32Array
  /** Added to the scores: [length, start + length], or [heads, length, start + length]. */
  readonly mask: Float32Array
  readonly maskPerHead: boolean
  /** [heads] logits that take part in the softmax and mix in nothing; null for none. */
  readonly sinks: Float32Array | null
  readonly batch: BatchShape
  readonly heads: number
  readonly kvHeads: number
  readonly softcap: number | null
}

/** What callers may do in the midst of a layer. */
export interface LayerHooks {
  /**
   * Attention of the tokens at hand with all that a cache holds and with themselves: takes their keys and values in and gives what the
   * values come to, [rows * length, heads * valueDim]. Where it is left out, tokens see those of their batch alone.
   */
  attendCached?(step: CachedStep): Float32Array
  /**
   * Sees the keys (after RoPE) and values of a row, [kvHeads, length, headDim] each, as they enter the key-value cache. Runs within a tidy:
   * tensors are valid during the call.
   */
  observeCache?(keys: Tensor3D, values: Tensor3D): void
  /** What the key-value cache gives back of keys (after RoPE) or values [rows, kvHeads * length * channels], head after head. */
  throughCache?(x: Float32Array, rows: number, of: 'keys' | 'values'): Float32Array
  /**
   * Sees how tokens are routed: the weights [tokens, experts] of the experts of `module` (below the layer), zero where a token does not go.
   * Tensors are valid during the call.
   */
  route?(module: string, weights: Tensor2D): void
  /** Experts need only see the tokens that are routed to them. Otherwise the requests are the same for every batch. */
  readonly routedOnly?: boolean
}

/**
 * One pass of one batch through a decoder layer. It yields a request per stage, is answered with one output [tokens, rows] per
 * linear in the order of `stage.linears` (bias added), and returns the layer's output. A request of the host is answered with what its
 * work gives.
 */
export type LayerWalk = Generator<StageRequest | HostRequest, Tensor2D, readonly Tensor2D[]>

/** A weight matrix multiplied from the right: y = x Wᵀ + b, W [rows, columns]. */
export interface LinearSpec {
  /** Full module name: `model.layers.0.self_attn.q_proj`; its tensor is `<name>.weight`, its bias `<name>.bias`. */
  readonly name: string
  readonly rows: number
  readonly columns: number
  readonly bias: boolean
  /** Stored as [columns, rows], as GPT-2's Conv1D: it is read as [rows, columns] all the same, and compressed in bitsandbytes checkpoints alone, as a linear. */
  readonly transposed?: true
}

/** A tensor that is not a linear's weight: norms, embeddings. */
export interface ParameterSpec {
  /** Full tensor name: `model.norm.weight`. */
  readonly name: string
  readonly shape: readonly number[]
  /** The class of its module in transformers, `RMSNorm` where it is left out. A `Linear` must stand in the ignore list of config.json. */
  readonly className?: string
}

/** A batch of token rows of one length, flattened to [rows * length]. */
export interface BatchShape {
  readonly rows: number
  readonly length: number
  /** The position of the first token of every row, where others went before; 0 where it is left out. */
  readonly start?: number
}

/** Float32 tensors by full tensor name; linears' weights are not among them. */
export type Parameters = ReadonlyMap<string, Tensor>

/** Heads of the attention modules. */
export interface AttentionSizes {
  /** The module below a layer that owns the key-value cache: `self_attn`. */
  readonly module: string
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
}

/** A model with its config read: everything the rest of the code knows about an architecture. */
export interface Model {
  readonly modelType: string
  /** Why nothing can be computed with it: its architecture is not known, and its linears were found by name. Absent where it is known. */
  readonly unknown?: string
  readonly layers: number
  readonly hidden: number
  readonly vocab: number
  readonly maxPositions: number
  /** Null where the architecture is not known. */
  readonly attention: AttentionSizes | null
  /** lm_head shares the embedding's tensor and has none of its own. */
  readonly tied: boolean
  /** The name of the embedding's module, e.g. `model.embed_tokens`. */
  readonly embedding: string
  /** Channels of the embedding: `hidden`, unless a projection follows it. */
  readonly embeddingWidth: number
  /** Stages of a decoder layer, in the order of the walk: the same objects at every call. */
  stages(layer: number): readonly StageSpec[]
  /** The last stage: the output projection after the final norm. */
  readonly headStage: StageSpec
  /** Module name of a layer: `model.layers.3`. */
  layerName(layer: number): string
  /** The linears of a layer, in the order of its stages. */
  linears(layer: number): LinearSpec[]
  /** The norms and other non-linear tensors of a layer. */
  parameters(layer: number): ParameterSpec[]
  /** Tensors outside the layers: the embedding, those of `embed`, those of `walkHead`. */
  outerParameters(): ParameterSpec[]
  /** Tensors that `embed` needs beside the embedding's rows: learned positions, a norm. */
  embedParameters(): ParameterSpec[]
  /** Tensors that `walkHead` needs: the final norm. */
  headParameters(): ParameterSpec[]
  /** lm_head as a linear (named so even when tied). */
  head(): LinearSpec
  /** What loaders call the head, where that is not its name in the checkpoint. */
  readonly headAlias?: string
  /**
   * Tensors that every layer shares for rows of up to `length` tokens (RoPE tables); the caller disposes of them. With a `start`, for exactly
   * so many tokens from that position on, of rows that will have `longest` in all.
   */
  shared(length: number, start?: number, longest?: number): Tensor[]
  /** Hidden states [tokens, hidden] from the tokens' rows of the embedding [tokens, embeddingWidth]; always a new tensor. */
  embed(rows: Tensor2D, batch: BatchShape, parameters: Parameters): Tensor2D
  /** A decoder layer over one batch. */
  walk(layer: number, hidden: Tensor2D, parameters: Parameters, shared: readonly Tensor[], batch: BatchShape, hooks?: LayerHooks): LayerWalk
  /** The final norm and the output projection as one more walk; its result are the logits [tokens, vocab]. */
  walkHead(hidden: Tensor2D, parameters: Parameters): LayerWalk
}

/** An architecture file exports this under the name `architecture`. */
export interface Architecture {
  /**
   * Reads config.json's object, with `defaults` for what it does not say. `at`: where the text model stands within a larger one; by itself where it is left out. Errors:
   * CheckpointError naming the key that is missing or not supported.
   */
  model(config: Config, at?: TextModel): Model
  /** What its config class in transformers 5.17 takes where config.json has no such key; a null there is meant. */
  readonly defaults: Config
  /** Where experts are stored in one tensor, rows of gate and up take turns; else all of the gate comes first. */
  readonly alternatingExperts?: true
  /** Where the text model is found in checkpoints of this type, most likely first; where `model` says, if it is left out. */
  readonly places?: readonly TextModel[]
}

/** Where a text model stands in a checkpoint that also sees or hears. */
export interface TextModel {
  /** What stands for `model`: `language_model.model`. */
  readonly base: string
  /** What stands for `lm_head`: `language_model.lm_head`. */
  readonly head: string
}
