import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'

/** Linears that read the same input: one fusion group for servers, one Hessian for GPTQ, one unit of reporting. */
export interface StageSpec {
  /** For people: `attention inputs`. */
  readonly name: string
  /** Module names below the layer: `self_attn.q_proj`. */
  readonly linears: readonly string[]
}

/** What a layer asks for: the outputs of `stage.linears` applied to `input`. Tensors in `keep` outlive the request. */
export interface StageRequest {
  readonly stage: StageSpec
  /** [tokens, columns] */
  readonly input: Tensor2D
  readonly keep: readonly Tensor[]
}

/**
 * One pass of one batch through a decoder layer. It yields a request per stage, is answered with one output [tokens, rows] per
 * linear in the order of `stage.linears` (bias added), and returns the layer's output.
 */
export type LayerWalk = Generator<StageRequest, Tensor2D, readonly Tensor2D[]>

/** A weight matrix multiplied from the right: y = x Wᵀ + b, W [rows, columns]. */
export interface LinearSpec {
  /** Full module name: `model.layers.0.self_attn.q_proj`; its tensor is `<name>.weight`, its bias `<name>.bias`. */
  readonly name: string
  readonly rows: number
  readonly columns: number
  readonly bias: boolean
}

/** A tensor that is not a linear's weight: norms, embeddings. */
export interface ParameterSpec {
  /** Full tensor name: `model.norm.weight`. */
  readonly name: string
  readonly shape: readonly number[]
}

/** A batch of token rows of one length, flattened to [rows * length]. */
export interface BatchShape {
  readonly rows: number
  readonly length: number
}

/** Float32 tensors by full tensor name; linears' weights are not among them. */
export type Parameters = ReadonlyMap<string, Tensor>

/** A model with its config read: everything the rest of the code knows about an architecture. */
export interface Model {
  readonly modelType: string
  readonly layers: number
  readonly hidden: number
  readonly vocab: number
  readonly maxPositions: number
  /** lm_head shares the embedding's tensor and has none of its own. */
  readonly tied: boolean
  /** The name of the embedding's module, e.g. `model.embed_tokens`. */
  readonly embedding: string
  /** Stages of a decoder layer, in the order of the walk. */
  readonly stages: readonly StageSpec[]
  /** The last stage: the output projection after the final norm. */
  readonly headStage: StageSpec
  /** Module name of a layer: `model.layers.3`. */
  layerName(layer: number): string
  /** The linears of a layer, in the order of its stages. */
  linears(layer: number): LinearSpec[]
  /** The norms and other non-linear tensors of a layer. */
  parameters(layer: number): ParameterSpec[]
  /** Tensors outside the layers: embedding, final norm. */
  outerParameters(): ParameterSpec[]
  /** lm_head as a linear (named so even when tied). */
  head(): LinearSpec
  /** Tensors that every layer shares for rows of up to `length` tokens (RoPE tables); the caller disposes of them. */
  shared(length: number): Tensor[]
  /** Hidden states [tokens, hidden] from the tokens' rows of the embedding [tokens, hidden]. */
  embed(rows: Tensor2D): Tensor2D
  /** A decoder layer over one batch. */
  walk(layer: number, hidden: Tensor2D, parameters: Parameters, shared: readonly Tensor[], batch: BatchShape): LayerWalk
  /** The final norm and the output projection as one more walk; its result are the logits [tokens, vocab]. */
  walkHead(hidden: Tensor2D, parameters: Parameters): LayerWalk
}

/** An architecture file exports this under the name `architecture`. */
export interface Architecture {
  /** Reads config.json's object. Errors: CheckpointError naming the key that is missing or not supported. */
  model(config: Readonly<Record<string, unknown>>): Model
}
