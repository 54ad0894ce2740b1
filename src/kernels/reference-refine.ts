import type { FloatDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import type { RefineInput, RefineResult } from './kernels.ts'
import { roundingTo } from './reference-codes.ts'
import { choleskySolve } from './reference-solve.ts'
import { smallFloats } from './small-floats.ts'

const { fround } = Math

/** One row at work. Codes are kept as the values they stand for, less the zero point of their group, as float32. */
interface Row {
  weight: Float32Array
  codes: Float32Array
  scale: Float32Array
  zeroPoint: Float32Array
  /** (w - q) H [columns] */
  product: Float32Array
  /** [groups, columns] per group h: H c with the codes of h alone; null where scales stay. */
  parts: Float32Array[] | null
}

/** Σ_j a_j b_j in float64 over `length` columns from `from` on: four sums of every fourth term, then (0 + 2) + (1 + 3). */
function dot(a: Float32Array, b: Float32Array, from: number, length: number): number {
  const sums = new Float64Array(4)
  for (let j = 0; j < length; j++) sums[j % 4] += a[from + j] * b[from + j]
  return sums[0] + sums[2] + (sums[1] + sums[3])
}

/** y += a x, or -= where `sign` is -1. */
function add(y: Float32Array, a: number, x: Float32Array, sign: 1 | -1): void {
  for (let i = 0; i < y.length; i++) y[i] = fround(y[i] + sign * fround(a * x[i]))
}

function openRow(input: RefineInput, hessian: Float32Array, row: number): Row {
  const { columns, groupSize } = input
  const groups = columns / groupSize
  const scale = input.scale.slice(row * groups, (row + 1) * groups)
  const zeroPoint = Float32Array.from({ length: groups }, (_, g) => input.zeroPoint?.[row * groups + g] ?? 0)
  const codes = valuesOf(input, row * columns, columns).map((value, j) => value - zeroPoint[Math.floor(j / groupSize)])
  const product = input.product.slice(row * columns, (row + 1) * columns)
  const parts = input.scaleDtype && Array.from({ length: groups }, () => new Float32Array(columns))
  for (const [g, part] of parts?.entries() ?? []) {
    for (let j = g * groupSize; j < (g + 1) * groupSize; j++) add(part, codes[j], hessian.subarray(j * columns, (j + 1) * columns), 1)
  }
  return { weight: input.weight.subarray(row * columns, (row + 1) * columns), codes, scale, zeroPoint, product, parts }
}

/** What `length` codes from `from` on stand for. */
function valuesOf({ codes, float }: RefineInput, from: number, length: number): Float32Array {
  const some = codes.subarray(from, from + length)
  return float ? smallFloats[float].decode(Uint8Array.from(some)) : Float32Array.from(some)
}

/** A scale of the stored type, or the old one where the new is no scale or more than twice the size or less than half of it. */
function usable(value: number, old: number, dtype: FloatDType): number {
  const ratio = value / old
  if (!(ratio >= 0.5 && ratio <= 2)) return old
  const stored = Float32Array.of(value)
  roundToDtype(stored, dtype)
  return Number.isFinite(stored[0]) && stored[0] !== 0 ? stored[0] : old
}

/** The least-squares scales of a row, if they lower its loss: A d = r, A_gh = c_gᵀ H_gh c_h, r_g = c_gᵀ (H (w - q))_g, d what is added. */
function refit({ codes, scale, product, parts }: Row, groupSize: number, dtype: FloatDType | null): boolean {
  if (!parts || !dtype) return false
  const groups = scale.length
  const matrix = parts.map((part, g) => Float64Array.from(parts, (_, h) => (h < g ? 0 : dot(codes, part, h * groupSize, groupSize))))
  const right = Float64Array.from(parts, (_, g) => dot(codes, product, g * groupSize, groupSize))
  const step = choleskySolve(matrix, right)
  if (!step) return false
  const fresh = Float32Array.from(scale, (old, g) => usable(old + step[g], old, dtype))
  const moved = Float64Array.from(fresh, (value, g) => value - scale[g])
  let gain = 0
  for (let g = 0; g < groups; g++) {
    let sum = 0
    for (let h = g + 1; h < groups; h++) sum += matrix[g][h] * moved[h]
    gain += moved[g] * (2 * (right[g] - sum) - matrix[g][g] * moved[g])
  }
  if (!(gain > 0)) return false
  for (let g = 0; g < groups; g++) add(product, moved[g], parts[g], -1)
  scale.set(fresh)
  return true
}

/** Every code in order to the one that lowers the loss most while the others stay. */
function descend(row: Row, input: RefineInput, hessian: Float32Array): boolean {
  const { codes, scale, zeroPoint, product, parts } = row
  const { columns, groupSize, float, min, max } = input
  const { nearest } = roundingTo(float)
  let changed = false
  for (let j = 0; j < columns; j++) {
    const g = Math.floor(j / groupSize)
    const z = zeroPoint[g]
    const wanted = fround(codes[j] + fround(product[j] / fround(hessian[j * columns + j] * scale[g])))
    const delta = nearest(wanted, min - z, max - z) - codes[j]
    if (!(Math.abs(delta) > 0)) continue
    const line = hessian.subarray(j * columns, (j + 1) * columns)
    codes[j] += delta
    add(product, fround(delta * scale[g]), line, -1)
    if (parts) add(parts[g], delta, line, 1)
    changed = true
  }
  return changed
}

/** (w - q)ᵀ H (w - q), group by group. */
function lossOf({ weight, codes, scale, product }: Row, groupSize: number): number {
  const errors = weight.map((w, j) => fround(w - fround(codes[j] * scale[Math.floor(j / groupSize)])))
  return scale.reduce((sum, _, g) => sum + dot(errors, product, g * groupSize, groupSize), 0)
}

/** `Kernels.refine` in plain TypeScript, of checked input. */
export function refine(input: RefineInput): RefineResult {
  const { rows, columns, groupSize, float, rounds, scaleDtype } = input
  const groups = columns / groupSize
  const hessian = input.hessian.block(0, columns, 0, columns)
  const codes = float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns)
  const result = { codes, scale: new Float32Array(rows * groups), loss: new Float32Array(rows) }
  const { codeOf } = roundingTo(float)
  for (let at = 0; at < rows; at++) {
    const row = openRow(input, hessian, at)
    for (let round = 0; round < rounds; round++) {
      const fitted = refit(row, groupSize, scaleDtype)
      // What has found nothing once finds nothing again.
      if (!descend(row, input, hessian) && !fitted) break
    }
    for (const [j, value] of row.codes.entries())
      codes[at * columns + j] = codeOf(float ? value : value + row.zeroPoint[Math.floor(j / groupSize)])
    result.scale.set(row.scale, at * groups)
    result.loss[at] = lossOf(row, groupSize)
  }
  return result
}
