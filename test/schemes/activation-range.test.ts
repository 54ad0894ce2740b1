import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ActivationRange } from '../../src/schemes/activation-range.ts'
import { args } from '../checkpoint/schemes.ts'

function rangeOf(observer: string, rows: readonly (readonly [number, number])[], kwargs: Record<string, unknown> = {}) {
  const range = new ActivationRange(args({ observer, observer_kwargs: kwargs }))
  for (const [min, max] of rows) range.observe(min, max)
  return range.range
}

const ROWS = [
  [-1, 2],
  [-3, 1],
  [-2, 5],
] as const

test('ActivationRange keeps the extremes of all rows, moves towards each, or keeps the last, as its observer says', () => {
  expect(rangeOf('static_minmax', ROWS)).toEqual({ min: -3, max: 5 })
  expect(rangeOf('memoryless_minmax', ROWS)).toEqual({ min: -2, max: 5 })
  // llm-compressor 0.14, MinMaxObserver: lerp(old, new, averaging_constant), the first value as it is.
  expect(rangeOf('minmax', ROWS, { averaging_constant: 0.5 })).toEqual({ min: -2, max: 3.25 })
  expect(rangeOf('minmax', ROWS)?.min).toBeCloseTo(0.99 * (0.99 * -1 + 0.01 * -3) + 0.01 * -2, 12)
})

test('ActivationRange has none before the first row, and that row alone after it', () => {
  for (const observer of ['static_minmax', 'memoryless_minmax', 'minmax']) {
    expect(rangeOf(observer, [])).toBeNull()
    expect(rangeOf(observer, [[1, 2]])).toEqual({ min: 1, max: 2 })
  }
})

test('a moving average never leaves the extremes of all rows', () => {
  const row = fc.tuple(fc.double({ min: -9, max: 0, noNaN: true }), fc.double({ min: 0, max: 9, noNaN: true }))
  fc.assert(
    fc.property(fc.array(row, { minLength: 1 }), (rows) => {
      const [average, extremes] = [rangeOf('minmax', rows), rangeOf('static_minmax', rows)]
      expect(average?.min).toBeGreaterThanOrEqual((extremes?.min ?? 0) - 1e-12)
      expect(average?.max).toBeLessThanOrEqual((extremes?.max ?? 0) + 1e-12)
    }),
  )
})
