import fc from 'fast-check'
import { expect, test } from 'vitest'
import { powerOf } from '../../src/kernels/power.ts'

test.each([1, 1.3, 2, 2.4, 3, 8])('powerOf(%f) is within 1e-5 of the power for results from 2^-96 to 2^96', (norm) => {
  const power = powerOf(norm)
  fc.assert(
    fc.property(fc.double({ min: -96, max: 96, noNaN: true }), (exponent) => {
      const x = Math.fround(2 ** (exponent / norm))
      // norm reaches the kernel as float32.
      expect(Math.abs(power(x) / x ** Math.fround(norm) - 1)).toBeLessThan(1e-5)
    }),
    { numRuns: 2000 },
  )
})

test('powerOf: 0 stays 0, what is too small becomes 0, NaN stays NaN, and infinity is not finite', () => {
  for (const norm of [1, 2, 2.4, 3, 8]) {
    const power = powerOf(norm)
    expect(power(0)).toBe(0)
    expect(power(Number.NaN)).toBeNaN()
    expect(Number.isFinite(power(Infinity))).toBe(false)
  }
  expect(powerOf(2.4)(2 ** -60)).toBe(0)
  expect(powerOf(2.4)(2 ** 100)).toBeGreaterThan(1e38)
})
