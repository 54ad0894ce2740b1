import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgedRows, rowOutputs } from '../../../src/modifiers/gptq/judged-rows.ts'
import { random } from '../../engine/engines.ts'
import '../../fixed-seed.ts'

const MOST = 256

/** Positive, of any size. */
const sizesOf = (count: number, seed: number) => random(count, seed).map((value) => Math.exp(8 * value))

describe('judgedRows()', () => {
  test('stands for every row once, with rising rows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer(), fc.boolean(), (count, seed, both) => {
        const sizes = [sizesOf(count, seed), ...(both ? [sizesOf(count, seed + 1)] : [])]
        const { rows, counts } = judgedRows(count, sizes)
        expect(rows.length).toBe(Math.min(count, MOST))
        expect(counts.length).toBe(rows.length)
        expect(counts.reduce((sum, own) => sum + own, 0)).toBe(count)
        expect(rows.every((row, i) => row < count && (i === 0 || row > rows[i - 1]))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('has the largest rows of each size for themselves alone', () => {
    const [first, second] = [3, 4].map((seed) => sizesOf(1000, seed))
    for (const row of [7, 501]) first[row] = 1e6
    for (const row of [502, 998]) second[row] = 1e6
    const { rows, counts } = judgedRows(1000, [first, second])
    for (const row of [7, 501, 502, 998]) expect(counts[rows.indexOf(row)]).toBe(1)
  })

  test('estimates a sum that a few rows have nearly all of', () => {
    const sizes = sizesOf(3000, 5)
    // What is summed follows the size, but for a factor of its own.
    const values = sizes.map((size, row) => size * Math.exp(random(3000, 6)[row] / 2))
    const { rows, counts } = judgedRows(3000, [sizes])
    const found = rows.reduce((sum, row, i) => sum + counts[i] * values[row], 0)
    const all = values.reduce((sum, value) => sum + value, 0)
    expect(Math.abs(found / all - 1)).toBeLessThan(0.03)
  })
})

test('rowOutputs() weighs columns by their inputs', () => {
  expect(rowOutputs(Float32Array.of(1, 2, 3, -4), 2, Float32Array.of(10, 0.5))).toEqual(Float32Array.of(12, 98))
})
