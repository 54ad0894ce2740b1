import type { SweepInput, SweepResult } from './kernels.ts'
import { roundingTo } from './reference-codes.ts'

const { fround } = Math

/** One row: `w` [columns] becomes the errors, `codes` [columns] are filled; returns the loss, summed in float64. */
function sweepRow(input: SweepInput, row: number, w: Float32Array, codes: Int8Array | Uint8Array): number {
  const { columns, factor, scale, zeroPoint, groups, groupOf, float, min, max } = input
  const { nearest, codeOf } = roundingTo(float)
  let loss = 0
  for (let j = 0; j < columns; j++) {
    const u = j * columns
    const group = row * groups + groupOf[j]
    const s = scale[group]
    const z = zeroPoint?.[group] ?? 0
    const scaled = fround(w[j] / s)
    const q = nearest(zeroPoint ? fround(scaled + z) : scaled, min, max)
    const e = fround(fround(w[j] - fround(fround(q - z) * s)) / factor[u + j])
    for (let k = j + 1; k < columns; k++) w[k] = fround(w[k] - fround(e * factor[u + k]))
    codes[j] = codeOf(q)
    w[j] = e
    loss += e * e
  }
  return loss
}

/** `Kernels.sweep` in plain TypeScript, of checked input. */
export function sweep(input: SweepInput): SweepResult {
  const { rows, columns, float, order } = input
  const codes = float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns)
  const loss = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    const from = row * columns
    const weight = input.weight.subarray(from, from + columns)
    const own = codes.subarray(from, from + columns)
    const w = order ? Float32Array.from(order, (column) => weight[column]) : weight.slice()
    const swept = order ? own.slice() : own
    loss[row] = sweepRow(input, row, w, swept)
    if (order) for (let j = 0; j < columns; j++) own[order[j]] = swept[j]
    input.errors?.set(w, from)
  }
  return { codes, loss }
}
