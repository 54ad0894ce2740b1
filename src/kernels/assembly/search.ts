import { power } from './power'

/*
 * The error of rounding a group to each of its candidate scales. Candidates lie side by side in the lanes, columns are taken one by one, so
 * each sum sees the float32 operations of the twin (../reference-search.ts) in the same order. A panel of candidates is given up once all
 * its sums, which only grow, are past the least so far: that changes no choice.
 */

/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. In memory: see power.ts. */
const INTEGER = memory.data<f32>([12582912])
/** Columns between two looks at whether a panel can still win. */
const STRETCH: usize = 16

/** As `nearest` where there are no zero points; the sign of a zero makes no difference to an error. */
@inline
function nearestOf(w: v128, s: v128, min: v128, max: v128): v128 {
  const integer = v128.load_splat<f32>(INTEGER)
  return f32x4.sub(f32x4.add(f32x4.pmin(f32x4.pmax(f32x4.div(w, s), min), max), integer), integer)
}

/** The nearest code without its zero point, for codes from `min` to `max`; pmax and pmin hand a NaN on, as the twin does. */
@inline
function nearest(w: v128, s: v128, z: v128, min: v128, max: v128): v128 {
  const integer = v128.load_splat<f32>(INTEGER)
  const code = f32x4.pmin(f32x4.pmax(f32x4.add(f32x4.div(w, s), z), min), max)
  return f32x4.sub(f32x4.sub(f32x4.add(code, integer), integer), z)
}

/** |w - q s| to the power, times the importance. `mode` 2, 3: that norm; 1: 2 without importance; 0: any. */
@inline
function cost(w: v128, q: v128, s: v128, importance: v128, norm: v128, mode: i32): v128 {
  const e = f32x4.sub(w, f32x4.mul(q, s))
  if (mode == 1) return f32x4.mul(e, e)
  if (mode == 2) return f32x4.mul(f32x4.mul(e, e), importance)
  const size = f32x4.abs(e)
  if (mode == 3) return f32x4.mul(f32x4.mul(f32x4.mul(e, e), size), importance)
  return f32x4.mul(power(size, norm), importance)
}

@inline
function zeroPoints(at: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at))))
}

@inline
function past(sum: v128, least: v128): bool {
  return i32x4.all_true(f32x4.gt(sum, least))
}

@inline
function lower(least: v128, sum: v128): v128 {
  return f32x4.pmin(least, sum)
}

/** The least of four, in all lanes; NaN counts as infinite. */
@inline
function leastOf(sum: v128): v128 {
  const x = v128.bitselect(sum, f32x4.splat(Infinity), f32x4.eq(sum, sum))
  const pairs = f32x4.pmin(x, v128.shuffle<i32>(x, x, 2, 3, 0, 1))
  return f32x4.pmin(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2))
}

/**
 * Errors of `padded` candidates of one group, to `errors`, those of the panel `first` before all others; with `signed` those of the negated scales behind them. A scale of -s and the
 * codes of the mirrored range stand for the same numbers as s and codes from -max to -min: one quotient serves both signs.
 */
@inline
function judge(
  weight: usize,
  importance: usize,
  scale: usize,
  zero: usize,
  errors: usize,
  groupSize: usize,
  padded: usize,
  first: usize,
  min: v128,
  max: v128,
  norm: v128,
  mode: i32,
  signed: bool,
): void {
  const highest = signed ? f32x4.neg(min) : max
  const lowest = signed ? f32x4.neg(max) : min
  const last = weight + groupSize * 4
  let least = f32x4.splat(Infinity)
  for (let panel: usize = 0; panel < padded; panel += 4) {
    // `first` before all others, which keep their order.
    const at: usize = panel == 0 ? first : panel <= first ? panel - 4 : panel
    const s = v128.load(scale + at * 4)
    const z = signed ? f32x4.splat(0) : zeroPoints(zero + at)
    let sum = f32x4.splat(0)
    let mirrored = f32x4.splat(0)
    for (let w = weight, i = importance; w < last; ) {
      const stop = last - w > STRETCH * 4 ? w + STRETCH * 4 : last
      for (; w < stop; w += 4, i += 4) {
        const value = v128.load_splat<f32>(w)
        const share = mode == 1 ? value : v128.load_splat<f32>(i)
        const q = signed ? nearestOf(value, s, min, highest) : nearest(value, s, z, min, highest)
        if (signed) {
          sum = f32x4.add(sum, cost(value, f32x4.pmin(q, max), s, share, norm, mode))
          mirrored = f32x4.add(mirrored, cost(value, f32x4.pmax(q, lowest), s, share, norm, mode))
        } else sum = f32x4.add(sum, cost(value, q, s, share, norm, mode))
      }
      if (past(sum, least) && (!signed || past(mirrored, least))) break
    }
    v128.store(errors + at * 4, sum)
    least = lower(least, leastOf(sum))
    if (signed) {
      v128.store(errors + (padded + at) * 4, mirrored)
      least = lower(least, leastOf(mirrored))
    }
  }
}

/** The first candidate of least error, negated ones after all others. */
@inline
function firstLeast(errors: usize, count: i32, padded: usize, signed: bool): i32 {
  let least: f32 = Infinity
  let index = 0
  for (let k = 0; k < count; k++) {
    const error = load<f32>(errors + (<usize>k << 2))
    if (error < least) {
      least = error
      index = k
    }
  }
  if (!signed) return index
  for (let k = 0; k < count; k++) {
    const error = load<f32>(errors + ((padded + <usize>k) << 2))
    if (error < least) {
      least = error
      index = count + k
    }
  }
  return index
}

/**
 * Rows `from` .. `to` of `weight` [rows, columns]. `scale` float32 and `zero` int8 [rows, groups, padded], `padded` a multiple of 4, of
 * which `candidates` count and the others are NaN; `signed` 1: negated scales are tried too, and zero points are not read; `importance` 0: all one; `index` int32 [rows, groups]; `errors`
 * [lanes, 2 padded] of scratch, `lane` says whose.
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
  signed: i32,
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
  const scratch = errors + lane * padded * 8
  const isPlain = importance == 0 && exponent == 2
  // Where the winner of the group before lies: what is least early gives others up early.
  let first: usize = 0
  for (let row = from; row < to; row++) {
    for (let group: usize = 0; group < groups; group++) {
      const column = group * groupSize
      const at = row * groups + group
      const w = weight + (row * columns + column) * 4
      const i = importance + column * 4
      const s = scale + at * padded * 4
      const z = zero + at * padded
      if (signed) {
        if (isPlain) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 1, true)
        else if (exponent == 2) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 2, true)
        else if (exponent == 3) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 3, true)
        else judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 0, true)
      } else if (isPlain) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 1, false)
      else if (exponent == 2) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 2, false)
      else if (exponent == 3) judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 3, false)
      else judge(w, i, s, z, scratch, groupSize, padded, first, min, max, norm, 0, false)
      const winner = firstLeast(scratch, candidates, padded, signed != 0)
      store<i32>(index + at * 4, winner)
      first = <usize>(winner < candidates ? winner : winner - candidates) & ~3
    }
  }
}
