import type { Quantized } from '../checkpoint/layouts/layout.ts'
import { SMALLEST_SCALE } from '../numerics/scale-dtype.ts'
import { gridShape } from './grid.ts'
import { effectiveScale } from './qparams.ts'

/**
 * How many scales were too small for the type they are stored in, and were replaced by its epsilon, which is too large for their weights:
 * tiles whose weights are not all zero, and all lie below half the scale. `weight`: what was compressed, [rows, columns].
 */
export function clippedScales(weight: Float32Array, quantized: Quantized): number {
  const { args, rows, columns, scale, scaleDtype, fourBit } = quantized
  // Those of NF4 and FP4 are magnitudes, stored as they are.
  if (fourBit) return 0
  const { rowSpan, columnSpan, gridColumns } = gridShape(args, rows, columns)
  const effective = effectiveScale(quantized)
  let clipped = 0
  for (let tile = 0; tile < scale.length; tile++) {
    if (scale[tile] !== SMALLEST_SCALE[scaleDtype]) continue
    const [top, left] = [Math.floor(tile / gridColumns) * rowSpan, (tile % gridColumns) * columnSpan]
    let absmax = 0
    for (let r = top; r < Math.min(rows, top + rowSpan); r++) {
      const end = r * columns + Math.min(columns, left + columnSpan)
      for (let i = r * columns + left; i < end; i++) absmax = Math.max(absmax, Math.abs(weight[i]))
    }
    if (absmax > 0 && absmax < effective[tile] / 2) clipped++
  }
  return clipped
}
