import type { RoundInput, RoundResult } from './kernels.ts'
import { roundingTo } from './reference-codes.ts'

const { fround } = Math

/** `Kernels.roundWeights` in plain TypeScript, of checked input. */
export function roundWeights({
  rows,
  columns,
  weight,
  rowSpan,
  columnSpan,
  scale,
  zeroPoint,
  float,
  min,
  max,
  ...input
}: RoundInput): RoundResult {
  const { nearest, codeOf } = roundingTo(float)
  const groups = Math.ceil(columns / columnSpan)
  const codes = float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns)
  const values = new Float32Array(rows * columns)
  const loss = new Float64Array(rows)
  const power = new Float64Array(rows)
  // Four sums by the column's place in its vector, where tiles are whole vectors.
  const lanes = columnSpan % 4 === 0 && columns % 4 === 0 ? 4 : 1
  for (let row = 0; row < rows; row++) {
    const lost = [0, 0, 0, 0]
    const all = [0, 0, 0, 0]
    for (let column = 0; column < columns; column++) {
      const tile = Math.floor(row / rowSpan) * groups + Math.floor(column / columnSpan)
      const at = row * columns + column
      const w = weight[at]
      const s = scale[tile]
      const z = zeroPoint?.[tile] ?? 0
      // No sum without a zero point: it would take the sign off -0, which floats have.
      const ratio = fround(w / s)
      const q = nearest(zeroPoint ? fround(ratio + z) : ratio, min, max)
      codes[at] = codeOf(q)
      values[at] = fround(q - z) * s
      const e = fround(w - values[at])
      lost[column % lanes] += e * e
      all[column % lanes] += w * w
    }
    loss[row] = lost[0] + lost[1] + (lost[2] + lost[3])
    power[row] = all[0] + all[1] + (all[2] + all[3])
  }
  return { codes, values: input.values ? values : null, loss, power }
}
