import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sizeReport } from '../../src/eval/size-report.ts'
import { valueStatistics } from '../../src/numerics/value-statistics.ts'

test('valueStatistics are those of the definitions', () => {
  const values = fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(values, fc.constantFrom(0, 1e4), (drawn, shift) => {
      const x = drawn.map((value) => value + shift)
      const found = valueStatistics(x)
      const mean = x.reduce((sum, value) => sum + value, 0) / x.length
      const std = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length)
      expect(found).toMatchObject({ count: x.length, min: Math.min(...x), max: Math.max(...x), nonFinite: 0 })
      expect(found.mean).toBeCloseTo(mean, 6)
      expect(Math.abs(found.std - std)).toBeLessThan(1e-3 + 1e-3 * std)
    }),
  )
})

test('valueStatistics leave out what is not finite, and count it', () => {
  expect(valueStatistics([1, NaN, 3, Infinity, 0])).toEqual({
    count: 5,
    min: 0,
    max: 3,
    mean: 4 / 3,
    std: expect.any(Number),
    zeros: 1,
    nonFinite: 2,
  })
  expect(valueStatistics([NaN])).toMatchObject({ min: NaN, nonFinite: 1 })
})

test('sizeReport is in GiB to two decimals', () => {
  expect(sizeReport(16_060_522_496, 9_083_953_152)).toEqual({
    original_size_gb: 14.96,
    quantized_size_gb: 8.46,
    compression_ratio: 1.77,
    memory_saved_gb: 6.5,
  })
})
