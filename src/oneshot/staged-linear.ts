import type { Layout } from '../checkpoint/layouts/layout.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { LinearSpec, StageSpec } from '../models/architecture.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { FLOAT_DTYPES_BY_NAME, isFloatName } from '../numerics/dtype-names.ts'

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

/** The type its scales are stored in unless the format fixes it: what an integer scheme says, else that of its weight. */
export function plannedScaleDtype({ dtype, scheme }: Pick<PlannedLinear, 'dtype' | 'scheme'>): FloatDType {
  const { type, scale_dtype: named } = scheme?.weights ?? {}
  const name = named?.replace('torch.', '')
  return type === 'int' && name !== undefined && isFloatName(name) ? FLOAT_DTYPES_BY_NAME[name] : dtype
}
