import type { FloatDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import { UserError } from '../util/errors.ts'

/** The smallest positive and the largest finite value of each type. */
const LIMITS: Readonly<Record<FloatDType, { readonly least: number; readonly most: number }>> = {
  F32: { least: 2 ** -149, most: (2 - 2 ** -23) * 2 ** 127 },
  F16: { least: 2 ** -24, most: 65504 },
  BF16: { least: 2 ** -133, most: (2 - 2 ** -7) * 2 ** 127 },
}

/** How a step size is stored. */
export interface ScaleOptions {
  /** Rounds the step to this type before codes are computed from it; the step is a float64 otherwise. */
  readonly scaleDtype?: FloatDType
}

/**
 * A step size that can be divided by: the one that is asked for, rounded to the type that it is stored in; one code of a range of 1 where
 * there is no range at all. Errors: UserError for a step that is given and not positive.
 */
export function usableStep(step: number, codes: number, { scaleDtype }: ScaleOptions): number {
  const usable = step > 0 ? step : 1 / codes
  if (scaleDtype === undefined) return usable
  const { least, most } = LIMITS[scaleDtype]
  const rounded = Float32Array.of(Math.min(most, usable))
  roundToDtype(rounded, scaleDtype)
  return Math.min(most, Math.max(least, rounded[0]))
}

/** Errors: UserError for a step that cannot be divided by. */
export function requireStep(scale: number): void {
  if (!(scale > 0 && scale < Number.POSITIVE_INFINITY))
    throw new UserError(`Cannot quantize with a scale of ${scale}: expected a positive number.`)
}
