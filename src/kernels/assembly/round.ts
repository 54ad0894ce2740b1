import { bitsOf, formatOf, nearestFloat } from './floats'

/*
 * Rounding to a grid that is given: four columns at a time where tiles are whole vectors, else one, the other lanes at zero. Each number
 * sees the float32 operations of the twin (../reference-round.ts); sums are kept by lane in float64.
 */

/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. In memory: see power.ts. */
const INTEGER = memory.data<f32>([12582912])

/** Bytes of the sums of a row. */
export const SUMS: usize = 64

/** The nearest float of a format, or the nearest integer as the last bits of a float beside `INTEGER`. */
@inline
function nearest(w: v128, s: v128, z: v128, min: v128, max: v128, format: usize): v128 {
  if (format) return nearestFloat(f32x4.pmin(f32x4.pmax(f32x4.div(w, s), min), max), format)
  const x = f32x4.pmin(f32x4.pmax(f32x4.add(f32x4.div(w, s), z), min), max)
  return f32x4.add(x, v128.load_splat<f32>(INTEGER))
}

/** Four codes as bytes in the low lane; of integers the last bits are the code, negative ones in two's complement. */
@inline
function bytesOf(q: v128, format: usize): i32 {
  const words = format ? bitsOf(q, format) : q
  return i32x4.extract_lane(v128.shuffle<u8>(words, words, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0)
}

@inline
function upper(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 2, 3, 2, 3)
}

@inline
function plusSquares(sum: v128, x: v128): v128 {
  const wide = f64x2.promote_low_f32x4(x)
  return f64x2.add(sum, f64x2.mul(wide, wide))
}

/**
 * Columns `from` .. `to` of a row, which share a scale. Adds to `sums`, float64 by column modulo 4: four of what was lost, four of all (where
 * tiles are no whole vectors, the first of each).
 */
@inline
export function roundSpan(
  weight: usize,
  codes: usize,
  values: usize,
  sums: usize,
  from: usize,
  to: usize,
  s: v128,
  z: v128,
  min: v128,
  max: v128,
  format: usize,
  isWide: bool,
): void {
  let lost = v128.load(sums)
  let lostHigh = v128.load(sums, 16)
  let all = v128.load(sums, 32)
  let allHigh = v128.load(sums, 48)
  for (let c = from; c < to; c += isWide ? 4 : 1) {
    const w = isWide ? v128.load(weight + c * 4) : v128.load32_zero(weight + c * 4)
    const q = nearest(w, s, z, min, max, format)
    const value = f32x4.mul(format ? q : f32x4.sub(f32x4.sub(q, v128.load_splat<f32>(INTEGER)), z), s)
    if (isWide) {
      store<i32>(codes + c, bytesOf(q, format))
      if (values) v128.store(values + c * 4, value)
    } else {
      store<u8>(codes + c, bytesOf(q, format))
      if (values) v128.store32_lane(values + c * 4, value, 0)
    }
    const e = f32x4.sub(w, value)
    lost = plusSquares(lost, e)
    all = plusSquares(all, w)
    if (isWide) {
      lostHigh = plusSquares(lostHigh, upper(e))
      allHigh = plusSquares(allHigh, upper(w))
    }
  }
  v128.store(sums, lost)
  v128.store(sums, lostHigh, 16)
  v128.store(sums, all, 32)
  v128.store(sums, allHigh, 48)
}

@inline
function roundRow(
  weight: usize,
  scale: usize,
  zero: usize,
  codes: usize,
  values: usize,
  sums: usize,
  columns: usize,
  span: usize,
  min: v128,
  max: v128,
  format: usize,
  isWide: bool,
): void {
  memory.fill(sums, 0, SUMS)
  for (let start: usize = 0; start < columns; start += span, scale += 4, zero += 1) {
    const s = v128.load_splat<f32>(scale)
    const z = f32x4.splat(<f32>load<i8>(zero))
    const end = start + span < columns ? start + span : columns
    roundSpan(weight, codes, values, sums, start, end, s, z, min, max, format, isWide)
  }
}

/**
 * Rows `from` .. `to` of `weight` [rows, columns] to `codes` (bytes) and, unless 0, `values` (float32), both [rows, columns]. `scale` float32
 * and `zero` int8 [.., groups]: a scale for `height` rows (the first of which is `top` rows above the matrix) and `span` columns. `sums`
 * float64 [rows, 8]: of what was lost and of all, as `roundSpan` has them. `float`: the kind of codes (../small-floats.ts), 0 for integers.
 */
export function roundWeights(
  weight: usize,
  scale: usize,
  zero: usize,
  codes: usize,
  values: usize,
  sums: usize,
  columns: usize,
  height: usize,
  span: usize,
  top: usize,
  least: f32,
  most: f32,
  float: i32,
  from: usize,
  to: usize,
  lane: usize,
): void {
  const min = f32x4.splat(least)
  const max = f32x4.splat(most)
  const groups = (columns + span - 1) / span
  const format = formatOf(float)
  const isWide = span % 4 == 0 && columns % 4 == 0
  for (let row = from; row < to; row++) {
    const tile = ((top + row) / height) * groups
    const w = weight + row * columns * 4
    const s = scale + tile * 4
    const z = zero + tile
    const c = codes + row * columns
    const v = values ? values + row * columns * 4 : 0
    const sum = sums + row * SUMS
    if (format) {
      if (isWide) roundRow(w, s, z, c, v, sum, columns, span, min, max, format, true)
      else roundRow(w, s, z, c, v, sum, columns, span, min, max, format, false)
    } else if (isWide) roundRow(w, s, z, c, v, sum, columns, span, min, max, 0, true)
    else roundRow(w, s, z, c, v, sum, columns, span, min, max, 0, false)
  }
}
