import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { roundHalfEven } from '../../src/numerics/round.ts'

describe('roundHalfEven', () => {
  it('rounds halves to the even neighbour, as torch.round does', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5].map((x) => roundHalfEven(x) + 0)).toEqual([0, 2, 2, 0, -2, -2, 126, 128])
  })

  it('is the nearest integer for any other number', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (x) => {
        fc.pre(Math.abs(x % 1) !== 0.5)
        expect(roundHalfEven(x) + 0).toBe(Math.round(x) + 0)
      }),
    )
  })

  it('keeps large integers, their halves, infinities and NaN', () => {
    expect(roundHalfEven(2 ** 53)).toBe(2 ** 53)
    expect(roundHalfEven(2 ** 51 + 0.5)).toBe(2 ** 51)
    expect(roundHalfEven(2 ** 51 + 1.5)).toBe(2 ** 51 + 2)
    expect(roundHalfEven(Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY)
    expect(roundHalfEven(Number.NaN)).toBeNaN()
  })
})
