import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgedRows } from '../../../src/modifiers/gptq/judged-rows.ts'
import '../../fixed-seed.ts'
import { random } from '../../engine/engines.ts'

const COLUMNS = 8
const MOST = 256

const judged = (weight: Float32Array) => judgedRows(weight, weight.length / COLUMNS, new Float32Array(COLUMNS).fill(1))

describe('judgedRows()', () => {
  test('stands for every row once, with rising rows of the weight', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer(), (count, seed) => {
        const { rows, counts } = judged(random(count * COLUMNS, seed))
        expect(rows.length).toBe(Math.min(count, MOST))
        expect(counts.length).toBe(rows.length)
        expect(counts.reduce((sum, own) => sum + own, 0)).toBe(count)
        expect(rows.every((row, i) => row < count && (i === 0 || row > rows[i - 1]))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('has every row that outweighs the others, for itself alone', () => {
    const weight = random(1000 * COLUMNS, 3)
    for (const row of [7, 501, 998]) weight.fill(50, row * COLUMNS, (row + 1) * COLUMNS)
    const { rows, counts } = judged(weight)
    for (const row of [7, 501, 998]) expect(counts[rows.indexOf(row)]).toBe(1)
  })

  test('weighs columns by their inputs', () => {
    const weight = new Float32Array(600 * COLUMNS).fill(1)
    // Large where there are no inputs, and where there are.
    weight[100 * COLUMNS] = 1e3
    weight[101 * COLUMNS + 1] = 2
    const { rows, counts } = judgedRows(
      weight,
      600,
      Float32Array.from({ length: COLUMNS }, (_, column) => (column === 0 ? 0 : 1)),
    )
    expect(counts[rows.indexOf(101)]).toBe(1)
    expect(rows.slice(0, 3)).toEqual(Int32Array.of(0, 1, 2))
  })
})
