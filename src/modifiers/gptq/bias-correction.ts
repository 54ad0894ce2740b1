import { roundToDtype } from '../../numerics/float-dtype.ts'
import type { Linear } from '../modifier.ts'

/**
 * Adds to a linear's bias what rounding took from the mean of its outputs: (W - Q) times the mean input [n]. The squared error of the
 * outputs falls by the square of that mean, so this never does harm on the rows it is taken from. `weight` is what was rounded: where that
 * aims at something else than the original outputs, their mean is not to come back.
 */
export function correctBias(
  { bias, rows, columns, dtype, biasDtype = dtype }: Linear,
  weight: Float32Array,
  rounded: Float32Array,
  mean: Float32Array | null,
): void {
  if (!bias || !mean) return
  for (let row = 0; row < rows; row++) {
    let lost = 0
    for (let j = 0, at = row * columns; j < columns; j++, at++) lost += (weight[at] - rounded[at]) * mean[j]
    bias[row] += lost
  }
  // What the model goes on with is what is stored.
  roundToDtype(bias, biasDtype)
}
