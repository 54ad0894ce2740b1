import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawAt, sampleIndices, seededUint32 } from '../../src/util/rng.ts'

describe('seededUint32', () => {
  it('gives the same sequence for the same seed and another for another', () => {
    const first = (seed: number) => Array.from({ length: 8 }, seededUint32(seed))
    expect(first(42)).toEqual(first(42))
    expect(first(42)).not.toEqual(first(43))
  })

  it('has no favourite among the 32 bits: each is set in about half of 4096 draws', () => {
    const next = seededUint32(1)
    const set = new Int32Array(32)
    for (let i = 0; i < 4096; i++) {
      const draw = next()
      for (let bit = 0; bit < 32; bit++) set[bit] += (draw >>> bit) & 1
    }
    // Five standard deviations of a fair coin thrown 4096 times.
    for (const count of set) expect(Math.abs(count - 2048)).toBeLessThan(160)
  })
})

describe('sampleIndices', () => {
  it('draws different indices inside the range, all of them when as many are asked for', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(250), fc.nat(), (total, count, seed) => {
        const drawn = sampleIndices(total, count, seed)
        expect(drawn.length).toBe(Math.min(total, count))
        expect(new Set(drawn).size).toBe(drawn.length)
        for (const index of drawn) expect(index >= 0 && index < total).toBe(true)
      }),
    )
  })

  it('reaches every index about equally often', () => {
    const seen = new Int32Array(10)
    for (let seed = 1; seed <= 2000; seed++) for (const index of sampleIndices(10, 3, seed)) seen[index]++
    for (const count of seen) expect(Math.abs(count - 600)).toBeLessThan(105)
  })
})

describe('drawAt', () => {
  it('gives any draw of the sequence by its place', () => {
    const next = seededUint32(4_000_000_000)
    for (let i = 0; i < 100; i++) expect(drawAt(4_000_000_000, i)).toBe(next())
  })
})
