import { sweepColumns, sweepRows } from '../tiles'
import { formatOf, nearestFloat, patternOf } from './floats'

/*
 * The GPTQ sweep, left-looking: a register tile of 4 columns x 8 rows takes the errors of all earlier columns one by one, in order, and is
 * then rounded column by column. Each weight so sees the same float32 operations in the same order as in the twin (../reference.ts), which
 * updates all later columns at once.
 */

/** Rows of one register tile: two vectors. */
const LANES: usize = 8
/** Register tiles of one sweep task. */
const SUBTILES: usize = sweepRows / 8
/** Bytes of one column's errors in a register tile. */
const ERROR: usize = LANES * 4
/** Bytes of one row of a packed panel of U. */
const PANEL: usize = <usize>sweepColumns * 4
/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. */
const INTEGER: f32 = 12582912

/** The value of the nearest code. Codes are integers where C is i32, floats without zero points where it is f32. */
@inline
function round<C>(w: v128, s: v128, z: v128, min: v128, max: v128, format: usize): v128 {
  if (isFloat<C>()) return nearestFloat(f32x4.min(f32x4.max(f32x4.div(w, s), min), max), format)
  const code = f32x4.min(f32x4.max(f32x4.add(f32x4.div(w, s), z), min), max)
  const integer = f32x4.splat(INTEGER)
  return f32x4.sub(f32x4.add(code, integer), integer)
}

@inline
function errorOf(w: v128, q: v128, s: v128, z: v128, diagonal: v128): v128 {
  return f32x4.div(f32x4.sub(w, f32x4.mul(f32x4.sub(q, z), s)), diagonal)
}

@inline
function less(w: v128, e: v128, u: v128): v128 {
  return f32x4.sub(w, f32x4.mul(e, u))
}

/** Lanes 0 and 1 of a and b, interleaved; with `high`, `first` and `second` it transposes 4 x 4. */
@inline
function low(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 4, 1, 5)
}

@inline
function high(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 2, 6, 3, 7)
}

@inline
function first(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 0, 2)
}

@inline
function second(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 1, 3)
}

@inline
function codeOf<C>(q: v128, format: usize): v128 {
  return isFloat<C>() ? patternOf(q, format) : q
}

/** Four codes of each of four rows, as one 32-bit word a row. */
@inline
function word(q0: v128, q1: v128, q2: v128, q3: v128): v128 {
  const byte = i32x4.splat(255)
  const b0 = v128.and(i32x4.trunc_sat_f32x4_s(q0), byte)
  const b1 = i32x4.shl(v128.and(i32x4.trunc_sat_f32x4_s(q1), byte), 8)
  const b2 = i32x4.shl(v128.and(i32x4.trunc_sat_f32x4_s(q2), byte), 16)
  const b3 = i32x4.shl(i32x4.trunc_sat_f32x4_s(q3), 24)
  return v128.or(v128.or(b0, b1), v128.or(b2, b3))
}

/** One register tile: columns k .. k+3 of the 8 rows whose first weight of column k is at `weight`. */
function tile<C>(
  weight: usize,
  panel: usize,
  scale: usize,
  zero: usize,
  groupOf: usize,
  codes: usize,
  errors: usize,
  k: usize,
  columns: usize,
  stride: usize,
  min: v128,
  max: v128,
  format: usize,
): void {
  const row = columns * 4
  let r0 = v128.load(weight)
  let r1 = v128.load(weight + row)
  let r2 = v128.load(weight + row * 2)
  let r3 = v128.load(weight + row * 3)
  let l0 = low(r0, r1)
  let l1 = low(r2, r3)
  let h0 = high(r0, r1)
  let h1 = high(r2, r3)
  let a0 = first(l0, l1)
  let a1 = second(l0, l1)
  let a2 = first(h0, h1)
  let a3 = second(h0, h1)
  r0 = v128.load(weight + row * 4)
  r1 = v128.load(weight + row * 5)
  r2 = v128.load(weight + row * 6)
  r3 = v128.load(weight + row * 7)
  l0 = low(r0, r1)
  l1 = low(r2, r3)
  h0 = high(r0, r1)
  h1 = high(r2, r3)
  let b0 = first(l0, l1)
  let b1 = second(l0, l1)
  let b2 = first(h0, h1)
  let b3 = second(h0, h1)

  let e = errors
  let u = panel
  for (const end = errors + k * ERROR; e < end; e += ERROR, u += PANEL) {
    const e0 = v128.load(e)
    const e1 = v128.load(e, 16)
    const u0 = v128.load_splat<f32>(u)
    a0 = less(a0, e0, u0)
    b0 = less(b0, e1, u0)
    const u1 = v128.load_splat<f32>(u, 4)
    a1 = less(a1, e0, u1)
    b1 = less(b1, e1, u1)
    const u2 = v128.load_splat<f32>(u, 8)
    a2 = less(a2, e0, u2)
    b2 = less(b2, e1, u2)
    const u3 = v128.load_splat<f32>(u, 12)
    a3 = less(a3, e0, u3)
    b3 = less(b3, e1, u3)
  }

  let at = <usize>load<u32>(groupOf) * stride
  let s0 = v128.load(scale + at)
  let s1 = v128.load(scale + at, 16)
  let z0 = v128.load(zero + at)
  let z1 = v128.load(zero + at, 16)
  let d = v128.load_splat<f32>(u)
  const p0 = round<C>(a0, s0, z0, min, max, format)
  const q0 = round<C>(b0, s1, z1, min, max, format)
  let e0 = errorOf(a0, p0, s0, z0, d)
  let e1 = errorOf(b0, q0, s1, z1, d)
  v128.store(e, e0)
  v128.store(e, e1, 16)
  let v = v128.load_splat<f32>(u, 4)
  a1 = less(a1, e0, v)
  b1 = less(b1, e1, v)
  v = v128.load_splat<f32>(u, 8)
  a2 = less(a2, e0, v)
  b2 = less(b2, e1, v)
  v = v128.load_splat<f32>(u, 12)
  a3 = less(a3, e0, v)
  b3 = less(b3, e1, v)

  at = <usize>load<u32>(groupOf, 4) * stride
  s0 = v128.load(scale + at)
  s1 = v128.load(scale + at, 16)
  z0 = v128.load(zero + at)
  z1 = v128.load(zero + at, 16)
  d = v128.load_splat<f32>(u, PANEL + 4)
  const p1 = round<C>(a1, s0, z0, min, max, format)
  const q1 = round<C>(b1, s1, z1, min, max, format)
  e0 = errorOf(a1, p1, s0, z0, d)
  e1 = errorOf(b1, q1, s1, z1, d)
  v128.store(e, e0, ERROR)
  v128.store(e, e1, ERROR + 16)
  v = v128.load_splat<f32>(u, PANEL + 8)
  a2 = less(a2, e0, v)
  b2 = less(b2, e1, v)
  v = v128.load_splat<f32>(u, PANEL + 12)
  a3 = less(a3, e0, v)
  b3 = less(b3, e1, v)

  at = <usize>load<u32>(groupOf, 8) * stride
  s0 = v128.load(scale + at)
  s1 = v128.load(scale + at, 16)
  z0 = v128.load(zero + at)
  z1 = v128.load(zero + at, 16)
  d = v128.load_splat<f32>(u, PANEL * 2 + 8)
  const p2 = round<C>(a2, s0, z0, min, max, format)
  const q2 = round<C>(b2, s1, z1, min, max, format)
  e0 = errorOf(a2, p2, s0, z0, d)
  e1 = errorOf(b2, q2, s1, z1, d)
  v128.store(e, e0, ERROR * 2)
  v128.store(e, e1, ERROR * 2 + 16)
  v = v128.load_splat<f32>(u, PANEL * 2 + 12)
  a3 = less(a3, e0, v)
  b3 = less(b3, e1, v)

  at = <usize>load<u32>(groupOf, 12) * stride
  s0 = v128.load(scale + at)
  s1 = v128.load(scale + at, 16)
  z0 = v128.load(zero + at)
  z1 = v128.load(zero + at, 16)
  d = v128.load_splat<f32>(u, PANEL * 3 + 12)
  const p3 = round<C>(a3, s0, z0, min, max, format)
  const q3 = round<C>(b3, s1, z1, min, max, format)
  v128.store(e, errorOf(a3, p3, s0, z0, d), ERROR * 3)
  v128.store(e, errorOf(b3, q3, s1, z1, d), ERROR * 3 + 16)

  const w0 = word(codeOf<C>(p0, format), codeOf<C>(p1, format), codeOf<C>(p2, format), codeOf<C>(p3, format))
  v128.store_lane<i32>(codes, w0, 0)
  v128.store_lane<i32>(codes + columns, w0, 1)
  v128.store_lane<i32>(codes + columns * 2, w0, 2)
  v128.store_lane<i32>(codes + columns * 3, w0, 3)
  const w1 = word(codeOf<C>(q0, format), codeOf<C>(q1, format), codeOf<C>(q2, format), codeOf<C>(q3, format))
  v128.store_lane<i32>(codes + columns * 4, w1, 0)
  v128.store_lane<i32>(codes + columns * 5, w1, 1)
  v128.store_lane<i32>(codes + columns * 6, w1, 2)
  v128.store_lane<i32>(codes + columns * 7, w1, 3)
}

/** Sums of squared errors of 8 rows, in float64, rounded to float32 at the end. */
function losses(errors: usize, columns: usize, loss: usize): void {
  let a = f64x2.splat(0)
  let b = f64x2.splat(0)
  let c = f64x2.splat(0)
  let d = f64x2.splat(0)
  for (let e = errors, end = errors + columns * ERROR; e < end; e += ERROR) {
    const e0 = v128.load(e)
    const e1 = v128.load(e, 16)
    let x = f64x2.promote_low_f32x4(e0)
    a = f64x2.add(a, f64x2.mul(x, x))
    x = f64x2.promote_low_f32x4(second(e0, e0))
    b = f64x2.add(b, f64x2.mul(x, x))
    x = f64x2.promote_low_f32x4(e1)
    c = f64x2.add(c, f64x2.mul(x, x))
    x = f64x2.promote_low_f32x4(second(e1, e1))
    d = f64x2.add(d, f64x2.mul(x, x))
  }
  v128.store(loss, first(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b)))
  v128.store(loss, first(f32x4.demote_f64x2_zero(c), f32x4.demote_f64x2_zero(d)), 16)
}

/** The errors of 8 rows, row after row: [8, columns] at `out`. */
function turned(errors: usize, columns: usize, out: usize): void {
  const row = columns * 4
  for (let e = errors, end = errors + columns * ERROR; e < end; e += ERROR * 4, out += 16) {
    for (let half: usize = 0; half < 2; half++) {
      const from = e + half * 16
      const to = out + half * row * 4
      const e0 = v128.load(from)
      const e1 = v128.load(from, ERROR)
      const e2 = v128.load(from, ERROR * 2)
      const e3 = v128.load(from, ERROR * 3)
      const l0 = low(e0, e1)
      const l1 = low(e2, e3)
      const h0 = high(e0, e1)
      const h1 = high(e2, e3)
      v128.store(to, first(l0, l1))
      v128.store(to + row, second(l0, l1))
      v128.store(to + row * 2, first(h0, h1))
      v128.store(to + row * 3, second(h0, h1))
    }
  }
}

/** Rows `from` .. `to` of `sweep`. */
@inline
function strips<C>(
  weight: usize,
  factor: usize,
  scale: usize,
  zero: usize,
  groupOf: usize,
  codes: usize,
  loss: usize,
  scratch: usize,
  out: usize,
  columns: usize,
  stride: usize,
  min: v128,
  max: v128,
  format: usize,
  from: usize,
  to: usize,
): void {
  const bytes = columns * ERROR
  for (let top = from; top < to; top += sweepRows) {
    let panel = factor
    for (let k: usize = 0; k < columns; k += sweepColumns) {
      for (let sub: usize = 0; sub < SUBTILES; sub++) {
        const row = top + sub * LANES
        tile<C>(
          weight + (row * columns + k) * 4,
          panel,
          scale + row * 4,
          zero + row * 4,
          groupOf + k * 4,
          codes + row * columns + k,
          scratch + sub * bytes,
          k,
          columns,
          stride,
          min,
          max,
          format,
        )
      }
      panel += (k + sweepColumns) * PANEL
    }
    for (let sub: usize = 0; sub < SUBTILES; sub++) {
      const row = top + sub * LANES
      losses(scratch + sub * bytes, columns, loss + row * 4)
      if (out) turned(scratch + sub * bytes, columns, out + row * columns * 4)
    }
  }
}

/**
 * Rows `from` .. `to` (multiples of sweepRows) of the padded matrix. `columns` is a multiple of 4. `factor`: panels of 4 columns, panel p
 * holding rows 0 .. 4p+3 of U. `scale`, `zero`: float32 [groups, stride / 4], so that the scales of neighbouring rows lie side by side.
 * `scratch`: [lanes, columns, sweepRows], `lane` says whose. `errors`: where they are wanted row by row as the weights, else 0. `float`: the kind of float that codes are (floats.ts), 0 for
 * integers.
 */
export function sweep(
  weight: usize,
  factor: usize,
  scale: usize,
  zero: usize,
  groupOf: usize,
  codes: usize,
  loss: usize,
  scratch: usize,
  errors: usize,
  columns: usize,
  stride: usize,
  float: i32,
  min: f32,
  max: f32,
  from: usize,
  to: usize,
  lane: usize,
): void {
  const least = f32x4.splat(min)
  const most = f32x4.splat(max)
  const own = scratch + lane * columns * ERROR * SUBTILES
  const format = formatOf(float)
  if (format) strips<f32>(weight, factor, scale, zero, groupOf, codes, loss, own, errors, columns, stride, least, most, format, from, to)
  else strips<i32>(weight, factor, scale, zero, groupOf, codes, loss, own, errors, columns, stride, least, most, format, from, to)
}
