import { searchCandidates } from '../tiles'
import { power } from './power'

/*
 * The error of rounding a group to each of its candidate scales. Candidates lie side by side in the lanes, columns are taken one by one, so
 * each sum sees the float32 operations of the twin (../reference-search.ts) in the same order.
 */

/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. In memory: see power.ts. */
const INTEGER = memory.data<f32>([12582912])
/** Bytes of the scales of candidates that are judged side by side. */
const PANEL: usize = <usize>searchCandidates * 4

/** |w - (q - z) s| to the power, times the importance; pmax and pmin hand a NaN on, as the twin does. `mode` 2, 3: that norm; 0: any. */
@inline
function cost(w: v128, importance: v128, s: v128, z: v128, min: v128, max: v128, norm: v128, mode: i32): v128 {
  const integer = v128.load_splat<f32>(INTEGER)
  const code = f32x4.pmin(f32x4.pmax(f32x4.add(f32x4.div(w, s), z), min), max)
  const q = f32x4.sub(f32x4.add(code, integer), integer)
  const e = f32x4.sub(w, f32x4.mul(f32x4.sub(q, z), s))
  if (mode == 2) return f32x4.mul(f32x4.mul(e, e), importance)
  const size = f32x4.abs(e)
  if (mode == 3) return f32x4.mul(f32x4.mul(f32x4.mul(e, e), size), importance)
  return f32x4.mul(power(size, norm), importance)
}

@inline
function zeroPoints(at: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at))))
}

/** Errors of `candidates` candidates of one group, to `errors`. */
@inline
function judge(
  weight: usize,
  importance: usize,
  scale: usize,
  zero: usize,
  errors: usize,
  groupSize: usize,
  candidates: usize,
  min: v128,
  max: v128,
  norm: v128,
  mode: i32,
): void {
  const end = errors + candidates * 4
  for (; errors + PANEL <= end; errors += PANEL, scale += PANEL, zero += searchCandidates) {
    const s0 = v128.load(scale)
    const s1 = v128.load(scale, 16)
    const z0 = zeroPoints(zero)
    const z1 = zeroPoints(zero + 4)
    let a0 = f32x4.splat(0)
    let a1 = f32x4.splat(0)
    for (let w = weight, i = importance, last = weight + groupSize * 4; w < last; w += 4, i += 4) {
      const value = v128.load_splat<f32>(w)
      const share = v128.load_splat<f32>(i)
      a0 = f32x4.add(a0, cost(value, share, s0, z0, min, max, norm, mode))
      a1 = f32x4.add(a1, cost(value, share, s1, z1, min, max, norm, mode))
    }
    v128.store(errors, a0)
    v128.store(errors, a1, 16)
  }
  if (errors == end) return
  const s0 = v128.load(scale)
  const z0 = zeroPoints(zero)
  let a0 = f32x4.splat(0)
  for (let w = weight, i = importance, last = weight + groupSize * 4; w < last; w += 4, i += 4) {
    a0 = f32x4.add(a0, cost(v128.load_splat<f32>(w), v128.load_splat<f32>(i), s0, z0, min, max, norm, mode))
  }
  v128.store(errors, a0)
}

@inline
function firstLeast(errors: usize, count: i32): i32 {
  let least: f32 = Infinity
  let index = 0
  for (let k = 0; k < count; k++) {
    const error = load<f32>(errors + (<usize>k << 2))
    if (error < least) {
      least = error
      index = k
    }
  }
  return index
}

/**
 * Rows `from` .. `to` of `weight` [rows, columns]. `scale` float32 and `zero` int8 [rows, groups, padded], `padded` a multiple of 4, of
 * which `candidates` count; `index` int32 [rows, groups]; `errors` [lanes, padded] of scratch, `lane` says whose.
 */
export function searchScales(
  weight: usize,
  importance: usize,
  scale: usize,
  zero: usize,
  index: usize,
  errors: usize,
  columns: usize,
  groupSize: usize,
  candidates: i32,
  padded: usize,
  least: f32,
  most: f32,
  exponent: f32,
  from: usize,
  to: usize,
  lane: usize,
): void {
  const min = f32x4.splat(least)
  const max = f32x4.splat(most)
  const norm = f32x4.splat(exponent)
  const groups = columns / groupSize
  const scratch = errors + lane * padded * 4
  for (let row = from; row < to; row++) {
    for (let group: usize = 0; group < groups; group++) {
      const column = group * groupSize
      const at = row * groups + group
      const w = weight + (row * columns + column) * 4
      const i = importance + column * 4
      const s = scale + at * padded * 4
      const z = zero + at * padded
      if (exponent == 2) judge(w, i, s, z, scratch, groupSize, padded, min, max, norm, 2)
      else if (exponent == 3) judge(w, i, s, z, scratch, groupSize, padded, min, max, norm, 3)
      else judge(w, i, s, z, scratch, groupSize, padded, min, max, norm, 0)
      store<i32>(index + at * 4, firstLeast(scratch, candidates))
    }
  }
}
