import { candidateStretch } from '../tiles'
import { formatOf } from './floats'
import { roundSpan, SUMS } from './round'

/*
 * Groups are given scales and rounded while they are in the cache. A search first estimates the error of every candidate from weights of 16
 * bits, eight at a time: the fraction of weight / scale is what a shift leaves of it. The estimate knows how far off it may be, so most
 * candidates are ruled out, mostly all but one. Those left are judged as in search.ts, with the float32 operations of the twin in its order.
 */

/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added; the bits then count up from its own. */
const INTEGER = memory.data<f32>([12582912])
const INTEGER_BITS: i32 = 0x4b400000

/** Columns that are estimated at a time: sums of so many squares fit 31 bits. */
const STRETCH: usize = <usize>candidateStretch
/** What lies where in a lane's scratch: candidates' scales, their inverses, errors of either sign, those that are left, weights. */
const INVERSES: usize = 128
const PLAIN: usize = 256
const MIRRORED: usize = 384
const LEFT: usize = 512
const UNITS: usize = 832
const LARGE: usize = UNITS + STRETCH * 2 + 16
/** Of a lane's scratch. */
const BYTES: usize = LARGE + STRETCH * 4

/** weight / scale has 12 bits of fraction in 16: it is below 8. */
const ONE: f32 = 4096
/** Inverse of the square of that. */
const SQUARE: f32 = 5.9604644775390625e-8

@inline
function nearestInteger(x: v128): v128 {
  const integer = v128.load_splat<f32>(INTEGER)
  return f32x4.sub(f32x4.add(x, integer), integer)
}

/** The nearest integers, half to even, of numbers below 2^22 in size. */
@inline
function integers(x: v128): v128 {
  return i32x4.sub(f32x4.add(x, v128.load_splat<f32>(INTEGER)), i32x4.splat(INTEGER_BITS))
}

@inline
function mostOf(x: v128): v128 {
  const pairs = f32x4.pmax(x, v128.shuffle<i32>(x, x, 2, 3, 0, 1))
  return f32x4.pmax(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2))
}

@inline
function leastOf(x: v128): v128 {
  const pairs = f32x4.pmin(x, v128.shuffle<i32>(x, x, 2, 3, 0, 1))
  return f32x4.pmin(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2))
}

/** The largest magnitude: of finite floats the bits below the sign count up with it. */
@inline
function largestOf(weight: usize, count: usize): f32 {
  const magnitude = i32x4.splat(0x7fffffff)
  let a = i32x4.splat(0)
  let b = i32x4.splat(0)
  for (const end = weight + count * 4; weight < end; weight += 32) {
    a = i32x4.max_s(a, v128.and(v128.load(weight), magnitude))
    b = i32x4.max_s(b, v128.and(v128.load(weight, 16), magnitude))
  }
  a = i32x4.max_s(a, b)
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1))
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2))
  return f32x4.extract_lane(a, 0)
}

/** Scales, none negative, as they are stored; zero becomes the epsilon of the type. `dtype`: 0 float32, 1 float16, 2 bfloat16. */
@inline
function storable(s: v128, dtype: i32): v128 {
  let rounded = s
  if (dtype == 1) {
    const normal = v128.and(
      i32x4.add(i32x4.add(s, i32x4.splat(0xfff)), v128.and(i32x4.shr_u(s, 13), i32x4.splat(1))),
      i32x4.splat(0xffffe000),
    )
    const small = f32x4.sub(f32x4.add(s, f32x4.splat(0.75)), f32x4.splat(0.75))
    const finite = v128.bitselect(small, normal, f32x4.lt(s, f32x4.splat(0.00006103515625)))
    rounded = v128.bitselect(f32x4.splat(Infinity), finite, f32x4.ge(finite, f32x4.splat(65536)))
  } else if (dtype == 2) {
    const odd = v128.and(i32x4.shr_u(s, 16), i32x4.splat(1))
    rounded = v128.and(i32x4.add(i32x4.add(s, i32x4.splat(0x7fff)), odd), i32x4.splat(0xffff0000))
  }
  if (dtype != 0) rounded = v128.bitselect(rounded, i32x4.splat(0x7fc00000), f32x4.eq(s, s))
  const epsilon: f32 = dtype == 0 ? 1.1920928955078125e-7 : dtype == 1 ? 0.0009765625 : 0.0078125
  return v128.bitselect(f32x4.splat(epsilon), rounded, f32x4.eq(rounded, f32x4.splat(0)))
}

/** The scales of all candidates, to `out`. */
@inline
function candidates(largest: f32, ratios: usize, padded: usize, half: v128, dtype: i32, out: usize): void {
  const wide = f64x2.splat(<f64>largest)
  for (let k: usize = 0; k < padded; k += 4) {
    const low = f32x4.demote_f64x2_zero(f64x2.mul(wide, v128.load(ratios + k * 8)))
    const high = f32x4.demote_f64x2_zero(f64x2.mul(wide, v128.load(ratios + k * 8, 16)))
    const exact = v128.shuffle<i32>(low, high, 0, 1, 4, 5)
    v128.store(out + k * 4, storable(f32x4.div(exact, half), dtype))
  }
}

/** Squares of the distances to the nearest integers, added up in pairs; `x` with 12 bits of fraction. */
@inline
function squares(x: v128): v128 {
  const e = i16x8.shr_s(i16x8.shl(x, 4), 4)
  return i32x4.dot_i16x8_s(e, e)
}

/** Weights, at most STRETCH, as integers, those past `edge` as zeros; those to LARGE instead. Gives the end of these. */
@inline
function divide(weight: usize, count: usize, unit: v128, edge: v128, scratch: usize): usize {
  let large = scratch + LARGE
  let units = scratch + UNITS
  for (let start: usize = 0; start < count; start += 64) {
    const end = start + 64 < count ? start + 64 : count
    let found: u64 = 0
    for (let c = start; c < end; c += 8, units += 16) {
      const a = v128.load(weight + c * 4)
      const b = v128.load(weight + c * 4, 16)
      const isLarge = i16x8.narrow_i32x4_s(f32x4.gt(f32x4.abs(a), edge), f32x4.gt(f32x4.abs(b), edge))
      const integer = i16x8.narrow_i32x4_s(integers(f32x4.mul(a, unit)), integers(f32x4.mul(b, unit)))
      v128.store(units, v128.andnot(integer, isLarge))
      found |= (<u64>i16x8.bitmask(isLarge)) << (c - start)
    }
    while (found) {
      store<f32>(large, load<f32>(weight + (start + <usize>ctz(found)) * 4))
      large += 4
      found &= found - 1
    }
  }
  // What fills up a pair of vectors is a weight of zero, which has no error.
  v128.store(units, i32x4.splat(0))
  return large
}

/** Adds the errors of weights from `divide` to those of four candidates, in units of their scales. */
@inline
function estimate(k: usize, units: usize, large: usize, factor: v128, min: v128, max: v128, signed: bool, scratch: usize): void {
  const inverse = v128.load(scratch + INVERSES + k * 4)
  // Through memory: V8 (11.3) would splat them anew in each turn of the loop.
  v128.store(scratch + LEFT, integers(f32x4.mul(inverse, factor)))
  const k0 = v128.load16_splat(scratch + LEFT)
  const k1 = v128.load16_splat(scratch + LEFT, 4)
  const k2 = v128.load16_splat(scratch + LEFT, 8)
  const k3 = v128.load16_splat(scratch + LEFT, 12)
  let a = i32x4.splat(0)
  let b = i32x4.splat(0)
  let c = i32x4.splat(0)
  let d = i32x4.splat(0)
  for (let at = scratch + UNITS; at < units; at += 32) {
    const x = v128.load(at)
    const y = v128.load(at, 16)
    a = i32x4.add(i32x4.add(a, squares(i16x8.q15mulr_sat_s(x, k0))), squares(i16x8.q15mulr_sat_s(y, k0)))
    b = i32x4.add(i32x4.add(b, squares(i16x8.q15mulr_sat_s(x, k1))), squares(i16x8.q15mulr_sat_s(y, k1)))
    c = i32x4.add(i32x4.add(c, squares(i16x8.q15mulr_sat_s(x, k2))), squares(i16x8.q15mulr_sat_s(y, k2)))
    d = i32x4.add(i32x4.add(d, squares(i16x8.q15mulr_sat_s(x, k3))), squares(i16x8.q15mulr_sat_s(y, k3)))
  }
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  const sum = i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7))
  const small = f32x4.mul(f32x4.convert_i32x4_s(sum), f32x4.splat(SQUARE))
  let plain = f32x4.add(v128.load(scratch + PLAIN + k * 4), small)
  let mirrored = f32x4.add(v128.load(scratch + MIRRORED + k * 4), small)
  const lowest = f32x4.neg(max)
  const highest = f32x4.neg(min)
  for (let at = scratch + LARGE; at < large; at += 4) {
    const x = f32x4.mul(v128.load_splat<f32>(at), inverse)
    const q = nearestInteger(x)
    const e = f32x4.sub(x, f32x4.pmin(f32x4.pmax(q, min), max))
    plain = f32x4.add(plain, f32x4.mul(e, e))
    if (signed) {
      const m = f32x4.sub(x, f32x4.pmin(f32x4.pmax(q, lowest), highest))
      mirrored = f32x4.add(mirrored, f32x4.mul(m, m))
    }
  }
  v128.store(scratch + PLAIN + k * 4, plain)
  v128.store(scratch + MIRRORED + k * 4, mirrored)
}

/**
 * Candidates that may be best, a bit each, negated ones 32 further up; all where the numbers are out of the common range. With n weights
 * whose quotients are off by `off` at most, the root of a sum of squares is off by off * sqrt(n). A negated scale is left out where no code
 * is beyond the range of either sign, so that both have the same errors.
 */
@inline
function candidatesLeft(
  weight: usize,
  count: usize,
  largest: f32,
  padded: usize,
  all: u64,
  min: v128,
  max: v128,
  signed: bool,
  scratch: usize,
): u64 {
  let inverses = f32x4.splat(0)
  for (let k: usize = 0; k < padded; k += 4) {
    const inverse = f32x4.div(f32x4.splat(1), v128.load(scratch + k * 4))
    v128.store(scratch + INVERSES + k * 4, inverse)
    v128.store(scratch + PLAIN + k * 4, f32x4.splat(0))
    v128.store(scratch + MIRRORED + k * 4, f32x4.splat(0))
    inverses = f32x4.pmax(inverses, inverse)
  }
  const top = largest * f32x4.extract_lane(mostOf(inverses), 0)
  // Squares of errors stay normal float32 numbers.
  if (!(largest > 1e-12 && largest < 1e12 && top >= 1 && top < 1000)) return all
  const most = f32x4.extract_lane(max, 0) + <f32>0.49
  // Within it no candidate clips.
  const edge = largest * (most / top)
  const unit = f32x4.splat(<f32>32767 / edge)
  const factor = f32x4.splat(edge * (ONE * 32768 / 32767))
  for (let start: usize = 0; start < count; start += STRETCH) {
    const length = count - start < STRETCH ? count - start : STRETCH
    const large = divide(weight + start * 4, length, unit, f32x4.splat(edge), scratch)
    const units = scratch + UNITS + length * 2
    for (let k: usize = 0; k < padded; k += 4) estimate(k, units, large, factor, min, max, signed, scratch)
  }
  // A half in the last place of the weights, of the inverses and of the quotients, and what float32 rounds.
  const off: f32 = (most / 32767 + 1 / ONE + 1 / ONE) / 2 + 0.00002
  const margin = f32x4.splat(off * sqrt(<f32>count))
  let bound = f32x4.splat(Infinity)
  for (let k: usize = 0; k < padded; k += 4) {
    const s = v128.load(scratch + k * 4)
    bound = f32x4.pmin(bound, f32x4.mul(s, f32x4.add(f32x4.sqrt(v128.load(scratch + PLAIN + k * 4)), margin)))
    if (signed) bound = f32x4.pmin(bound, f32x4.mul(s, f32x4.add(f32x4.sqrt(v128.load(scratch + MIRRORED + k * 4)), margin)))
  }
  // The twin's sums are off by as many half places as there are numbers.
  bound = f32x4.mul(leastOf(bound), f32x4.splat(1 + <f32>(count + 64) * 1.2e-7))
  const clipped = f32x4.splat(most)
  let left: u64 = 0
  for (let k: usize = 0; k < padded; k += 4) {
    const s = v128.load(scratch + k * 4)
    const plain = f32x4.mul(s, f32x4.sub(f32x4.sqrt(v128.load(scratch + PLAIN + k * 4)), margin))
    left |= (<u64>i32x4.bitmask(f32x4.le(plain, bound))) << k
    if (!signed) continue
    const mirrored = f32x4.mul(s, f32x4.sub(f32x4.sqrt(v128.load(scratch + MIRRORED + k * 4)), margin))
    const clips = f32x4.gt(f32x4.mul(f32x4.splat(largest), v128.load(scratch + INVERSES + k * 4)), clipped)
    left |= (<u64>i32x4.bitmask(v128.and(f32x4.le(mirrored, bound), clips))) << (k + 32)
  }
  return left & all
}

/** The first of the candidates `left` with the least error. */
@inline
function bestOf(weight: usize, count: usize, left: u64, min: v128, max: v128, scratch: usize): f32 {
  let end = scratch + LEFT
  for (; left; left &= left - 1, end += 4) {
    const k = <usize>ctz(left)
    const s = load<f32>(scratch + (k & 31) * 4)
    store<f32>(end, k < 32 ? s : -s)
  }
  v128.store(end, f32x4.splat(NaN))
  let best = load<f32>(scratch + LEFT)
  let least: f32 = Infinity
  for (let at = scratch + LEFT; at < end; at += 16) {
    const s = v128.load(at)
    let sum = f32x4.splat(0)
    for (let w = weight, last = weight + count * 4; w < last; w += 4) {
      const value = v128.load_splat<f32>(w)
      const q = nearestInteger(f32x4.pmin(f32x4.pmax(f32x4.div(value, s), min), max))
      const e = f32x4.sub(value, f32x4.mul(q, s))
      sum = f32x4.add(sum, f32x4.mul(e, e))
    }
    v128.store(scratch + PLAIN, sum)
    for (let i: usize = 0; i < 16; i += 4) {
      const error = load<f32>(scratch + PLAIN + i)
      if (error < least) {
        least = error
        best = load<f32>(at + i)
      }
    }
  }
  return best
}

@inline
function searched(
  weight: usize,
  count: usize,
  largest: f32,
  padded: usize,
  all: u64,
  min: v128,
  max: v128,
  signed: bool,
  scratch: usize,
): f32 {
  const left = candidatesLeft(weight, count, largest, padded, all, min, max, signed, scratch)
  if (left & (left - 1)) return bestOf(weight, count, left, min, max, scratch)
  const k = <usize>ctz(left)
  const s = load<f32>(scratch + (k & 31) * 4)
  return k < 32 ? s : -s
}

/**
 * Rows `from` .. `to` of `weight` [rows, columns]: of each group the scale, to `scale` [rows, groups], and the codes, to `codes` (bytes).
 * `ratios` float64 [padded], `padded` a multiple of 4 of which `count` count; one of them and no sign: nothing is searched. `signed` 1:
 * negated scales too. `dtype`: what scales are rounded to; `float`: the kind of codes (../small-floats.ts), 0 for integers. `sums`: as in
 * `roundWeights`. `scratch`: of all lanes, `lane` says whose.
 */
export function roundGroups(
  weight: usize,
  ratios: usize,
  scale: usize,
  codes: usize,
  sums: usize,
  scratch: usize,
  columns: usize,
  groupSize: usize,
  count: usize,
  padded: usize,
  signed: i32,
  dtype: i32,
  least: f32,
  most: f32,
  float: i32,
  from: usize,
  to: usize,
  lane: usize,
): void {
  const min = f32x4.splat(least)
  const max = f32x4.splat(most)
  const half = f32x4.splat((most - least) / 2)
  const format = formatOf(float)
  const zero = f32x4.splat(0)
  const own = scratch + lane * BYTES
  const positive: u64 = (<u64>1 << <u64>count) - 1
  const all = signed ? positive | (positive << 32) : positive
  const isSearched = all != 1
  for (let row = from; row < to; row++) {
    const w = weight + row * columns * 4
    const c = codes + row * columns
    const sum = sums + row * SUMS
    let out = scale + row * (columns / groupSize) * 4
    memory.fill(sum, 0, SUMS)
    for (let start: usize = 0; start < columns; start += groupSize, out += 4) {
      const group = w + start * 4
      const largest = largestOf(group, groupSize)
      candidates(largest, ratios, padded, half, dtype, own)
      let s = load<f32>(own)
      if (isSearched) {
        if (signed) s = searched(group, groupSize, largest, padded, all, min, max, true, own)
        else s = searched(group, groupSize, largest, padded, all, min, max, false, own)
      }
      store<f32>(out, s)
      const end = start + groupSize
      if (format) roundSpan(w, c, 0, sum, start, end, f32x4.splat(s), zero, min, max, format, true)
      else roundSpan(w, c, 0, sum, start, end, f32x4.splat(s), zero, min, max, 0, true)
    }
  }
}
