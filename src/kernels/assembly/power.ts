import { exp1, exp2, exp3, exp4, exp5, exp6, log1, log3, log5, log7 } from '../power-terms'

/*
 * x^norm for x >= 0 as 2^(norm log2 x), the float32 operations of the twin (../power.ts).
 */

/*
 * Constants are read from memory where they are used: V8 (11.3) builds a constant vector from immediates each time, in several steps, which
 * took more time than the arithmetic.
 */
const TERMS = memory.data<f32>([
  <f32>log7, <f32>log5, <f32>log3, <f32>log1, <f32>exp6, <f32>exp5, <f32>exp4, <f32>exp3, <f32>exp2, <f32>exp1, 1, -126, 127.4, 12582912,
])
/**
 * Bits of sqrt(1/2), of 1, and of 12582912, which takes the fraction off numbers below 2^22 in size, half to even, and then counts up with
 * them.
 */
const BITS = memory.data<i32>([0x3f3504f3, 0x3f800000, 0x4b400000])

@inline
function term(index: usize): v128 {
  return v128.load_splat<f32>(TERMS + index * 4)
}

@inline
function bits(index: usize): v128 {
  return v128.load_splat<i32>(BITS + index * 4)
}

@inline
function step(sum: v128, x: v128, next: v128): v128 {
  return f32x4.add(f32x4.mul(sum, x), next)
}

@inline
export function power(x: v128, norm: v128): v128 {
  const exponent = i32x4.shr_s(i32x4.sub(x, bits(0)), 23)
  const m = i32x4.sub(x, i32x4.shl(exponent, 23))
  const one = term(10)
  const t = f32x4.div(f32x4.sub(m, one), f32x4.add(m, one))
  const t2 = f32x4.mul(t, t)
  const series = step(step(step(term(0), t2, term(1)), t2, term(2)), t2, term(3))
  const log = f32x4.add(f32x4.convert_i32x4_s(exponent), f32x4.mul(t, series))
  const y = f32x4.pmin(f32x4.mul(norm, log), term(12))
  const integer = term(13)
  const shifted = f32x4.add(y, integer)
  const f = f32x4.sub(y, f32x4.sub(shifted, integer))
  const scale = i32x4.add(i32x4.shl(i32x4.sub(shifted, bits(2)), 23), bits(1))
  const high = step(step(step(term(4), f, term(5)), f, term(6)), f, term(7))
  const fraction = step(step(step(high, f, term(8)), f, term(9)), f, one)
  const result = v128.andnot(f32x4.mul(fraction, scale), f32x4.lt(y, term(11)))
  return f32x4.add(result, f32x4.sub(x, x))
}
