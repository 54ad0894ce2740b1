import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { binEdges, histogram } from '../../src/report/histogram.ts'

interface Case {
  low: number
  high: number
  bins: number
  values: number[]
  counts: number[]
}

const CASES = JSON.parse(await readFile(new URL('histograms.json', import.meta.url), 'utf8')) as Case[]

describe('histogram()', () => {
  test.each(CASES)('counts as numpy does: $bins bins from $low to $high', ({ low, high, bins, values, counts }) => {
    expect([...histogram(Float32Array.from(values), { low, high, bins })]).toEqual(counts)
  })

  test('drops what lies outside, and numbers that are none', () => {
    const values = Float32Array.of(-2.5, -2, 2, 2.5, Number.NaN, Number.POSITIVE_INFINITY)
    const counts = histogram(values, { low: -2, high: 2 })
    expect([counts[0], counts[149], counts.reduce((sum, count) => sum + count)]).toEqual([1, 1, 2])
  })

  test('counts every step-th row of a matrix alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 9 }), (rows, columns, step) => {
        const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i))
        const picked = values.filter((_, i) => Math.floor(i / columns) % step === 0)
        const range = { low: -1, high: 1, bins: 10 }
        expect([...histogram(values, { ...range, columns, step })]).toEqual([...histogram(picked, range)])
      }),
    )
  })
})

describe('binEdges()', () => {
  test('the ends are exact', () => {
    const edges = binEdges(-0.1, 0.3, 7)
    expect([edges.length, edges[0], edges[7]]).toEqual([8, -0.1, 0.3])
  })
})
