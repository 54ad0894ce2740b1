import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import type { BatchShape, LayerHooks, LayerWalk, LinearSpec, ParameterSpec, StageSource, StageSpec } from '../architecture.ts'

/** Consecutive tokens of rows. */
export interface TokenRange {
  /** The position of the first. */
  readonly start: number
  readonly length: number
  /** Tokens that the longest row of the run will have. */
  readonly longest: number
}

/** A tensor that all layers share for tokens at the same positions: cosines, a mask. */
export interface Table {
  /** The caller disposes of it. */
  make(tokens: TokenRange): Tensor
  /** The part of a table made from position 0 on that rows of `length` tokens need. */
  cut(table: Tensor, length: number): Tensor
}

/** What a part of a layer reads beside its input, during one pass. */
export interface Scope {
  readonly batch: BatchShape
  readonly hooks: LayerHooks
  /** A parameter by its name below the layer. Errors: RangeError where it was not loaded. */
  parameter(name: string): Tensor
  /** A table that the part lists, cut to the rows' length. */
  table(table: Table): Tensor
}

/** Where a part stands in its layer. */
export interface Place {
  /** What its input comes from, where that can take up a rescaling. */
  readonly source: StageSource | null
  /** Whether what it gives is added to the residual stream as it is. */
  readonly addsToResidual: boolean
}

/** A part of a layer, or all of it. Names are below the layer. */
export interface Part {
  readonly stages: readonly StageSpec[]
  /** In the order of the stages. */
  readonly linears: readonly LinearSpec[]
  readonly parameters: readonly ParameterSpec[]
  readonly tables: readonly Table[]
  /**
   * One pass of one batch. `keep`: what must outlive its requests; `residual`: the residual stream that the result is added to, one of
   * `keep`, given where the part `addsToResidual`.
   */
  run(input: Tensor2D, scope: Scope, keep: readonly Tensor[], residual?: Tensor2D): LayerWalk
}

/** A part before it is known where it stands. */
export type PartMaker = (place: Place) => Part
