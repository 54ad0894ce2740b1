import { exp1, exp2, exp3, exp4, exp5, exp6, log1, log3, log5, log7 } from '../power-terms'

/*
 * x^norm for x >= 0 as 2^(norm log2 x), the float32 operations of the twin (../power.ts).
 */

/** Bits of sqrt(1/2) and of 1. */
const ROOT_HALF: i32 = 0x3f3504f3
const ONE: i32 = 0x3f800000
/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added; the bits of the sum count up with it. */
const INTEGER: f32 = 12582912
const INTEGER_BITS: i32 = 0x4b400000

@inline
function step(sum: v128, x: v128, term: f64): v128 {
  return f32x4.add(f32x4.mul(sum, x), f32x4.splat(<f32>term))
}

@inline
export function power(x: v128, norm: v128): v128 {
  const exponent = i32x4.shr_s(i32x4.sub(x, i32x4.splat(ROOT_HALF)), 23)
  const m = i32x4.sub(x, i32x4.shl(exponent, 23))
  const one = f32x4.splat(1)
  const t = f32x4.div(f32x4.sub(m, one), f32x4.add(m, one))
  const t2 = f32x4.mul(t, t)
  const series = step(step(step(f32x4.splat(<f32>log7), t2, log5), t2, log3), t2, log1)
  const log = f32x4.add(f32x4.convert_i32x4_s(exponent), f32x4.mul(t, series))
  const y = f32x4.pmin(f32x4.mul(norm, log), f32x4.splat(127.4))
  const integer = f32x4.splat(INTEGER)
  const shifted = f32x4.add(y, integer)
  const f = f32x4.sub(y, f32x4.sub(shifted, integer))
  const scale = i32x4.add(i32x4.shl(i32x4.sub(shifted, i32x4.splat(INTEGER_BITS)), 23), i32x4.splat(ONE))
  const high = step(step(step(f32x4.splat(<f32>exp6), f, exp5), f, exp4), f, exp3)
  const fraction = step(step(step(high, f, exp2), f, exp1), f, 1)
  const result = v128.andnot(f32x4.mul(fraction, scale), f32x4.lt(y, f32x4.splat(-126)))
  return f32x4.add(result, f32x4.sub(x, x))
}
