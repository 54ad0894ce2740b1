import type { Layout } from '../checkpoint/layouts/layout.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { LinearSpec, StageSpec } from '../models/architecture.ts'
import type { FloatDType } from '../numerics/dtype.ts'

/** Linears in the order of the walk with the stage they belong to; the head's layer is the number of layers. */
export interface StagedLinear {
  readonly spec: LinearSpec
  readonly layer: number
  readonly stage: StageSpec
}

/** A linear with what will be done to it. */
export interface PlannedLinear extends StagedLinear {
  /** The type its weight is stored in. */
  readonly dtype: FloatDType
  readonly scheme: QuantizationScheme | null
  readonly layout: Layout | null
}
