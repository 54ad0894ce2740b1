import { exp1, exp2, exp3, exp4, exp5, exp6, log1, log3, log5, log7 } from './power-terms.ts'

const { fround } = Math

const LOG = [log7, log5, log3, log1].map(fround)
const EXP = [exp6, exp5, exp4, exp3, exp2, exp1, 1].map(fround)
/** Bits of sqrt(1/2) and of 1 in float32: mantissas are taken from sqrt(1/2) to sqrt(2), so that their logarithm is small. */
const ROOT_HALF = 0x3f3504f3
const ONE = 0x3f800000
/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. */
const INTEGER = 12582912
/** Where 2^y leaves the normal float32 numbers. */
const LEAST = -126
const MOST = fround(127.4)

function polynomial(terms: readonly number[], x: number): number {
  return terms.reduce((sum, term) => fround(fround(sum * x) + term))
}

/**
 * A function x >= 0 → x^norm in single float32 operations, the same as in the wasm: 2^(norm log2 x) by series. Relative error below 1e-5
 * for results from 2^-96 to 2^96; results below 2^-126 become 0. Products for norm 2 and 3. What is not finite becomes NaN or infinity.
 */
export function powerOf(norm: number): (x: number) => number {
  const exponentOfResult = fround(norm)
  if (exponentOfResult === 2) return (x) => fround(x * x)
  if (exponentOfResult === 3) return (x) => fround(fround(x * x) * x)
  const value = new Float32Array(1)
  const bits = new Int32Array(value.buffer)
  return (x) => {
    value[0] = x
    const exponent = (bits[0] - ROOT_HALF) >> 23
    bits[0] -= exponent << 23
    const m = value[0]
    const t = fround(fround(m - 1) / fround(m + 1))
    const log = fround(exponent + fround(t * polynomial(LOG, fround(t * t))))
    const y = Math.min(fround(exponentOfResult * log), MOST)
    const whole = fround(fround(y + INTEGER) - INTEGER)
    bits[0] = (whole << 23) + ONE
    const power = y < LEAST ? 0 : fround(polynomial(EXP, fround(y - whole)) * value[0])
    return fround(power + fround(x - x))
  }
}
