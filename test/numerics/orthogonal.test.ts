import { describe, expect, test } from 'vitest'
import { randomOrthogonal } from '../../src/numerics/orthogonal.ts'

describe('randomOrthogonal', () => {
  test.each([1, 2, 7, 64, 171])('rows of order %d are orthonormal to float64', (order) => {
    const matrix = randomOrthogonal(order, 5)
    let worst = 0
    for (let i = 0; i < order; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = 0
        for (let k = 0; k < order; k++) sum += matrix[i * order + k] * matrix[j * order + k]
        worst = Math.max(worst, Math.abs(sum - (i === j ? 1 : 0)))
      }
    }
    expect(worst).toBeLessThan(1e-14)
  })

  test('a seed gives one matrix', () => {
    expect(randomOrthogonal(5, 1)).toEqual(randomOrthogonal(5, 1))
    expect(randomOrthogonal(5, 1)).not.toEqual(randomOrthogonal(5, 2))
  })
})
