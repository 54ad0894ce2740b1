import { describe, expect, test } from 'vitest'
import { hadamardMatrix, hadamardOrder } from '../../src/numerics/hadamard.ts'

/** Whether H Hᵀ = order · I for a matrix of ones and minus ones. */
function isHadamard(matrix: Float64Array, order: number): boolean {
  if (matrix.length !== order * order || matrix.some((value) => Math.abs(value) !== 1)) return false
  for (let i = 0; i < order; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0
      for (let k = 0; k < order; k++) sum += matrix[i * order + k] * matrix[j * order + k]
      if (sum !== (i === j ? order : 0)) return false
    }
  }
  return true
}

describe('hadamardMatrix', () => {
  test('rows of ones and minus ones are orthogonal, for every order up to 150 that it gives', () => {
    const orders = Array.from({ length: 37 }, (_, i) => 4 * (i + 1)).filter((order) => {
      let odd = order
      while (odd % 2 === 0) odd /= 2
      return odd > 1 && hadamardOrder(order) === order
    })
    expect(orders).toEqual(expect.arrayContaining([12, 20, 28, 36, 44, 60, 68, 76, 84, 108, 124, 132, 140, 148]))
    for (const order of orders) expect(isHadamard(hadamardMatrix(order), order), `order ${order}`).toBe(true)
  })

  test('refuses orders that neither construction gives', () => {
    expect(() => hadamardMatrix(92)).toThrow(RangeError)
    expect(() => hadamardMatrix(6)).toThrow(RangeError)
  })
})

describe('hadamardOrder', () => {
  test.each([
    [1, 1],
    [2, 1],
    [64, 1],
    [4096, 1],
    [80, 20],
    [96, 12],
    [112, 28],
    [576, 36],
    [768, 12],
    [896, 28],
    [960, 60],
    [1152, 36],
    [1536, 12],
    [2304, 36],
    [2560, 20],
    [2880, 180],
    [3584, 28],
    [5120, 20],
    [5376, 84],
    [6656, 104],
    [7168, 28],
  ])('a matrix of order %d comes from one of order %d', (size, order) => {
    expect(hadamardOrder(size)).toBe(order)
  })

  test.each([3, 6, 100, 172, 577])('knows none for %d', (size) => {
    expect(hadamardOrder(size)).toBeNull()
  })
})
