import type { LinearSpec, StageSpec } from '../models/architecture.ts'

/** Linears in the order of the walk with the stage they belong to; the head's layer is the number of layers. */
export interface StagedLinear {
  readonly spec: LinearSpec
  readonly layer: number
  readonly stage: StageSpec
}
