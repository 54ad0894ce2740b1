import { seededUint32 } from '../util/rng.ts'

/**
 * A random orthogonal matrix [order, order], row major, the same for the same seed: rows of random numbers made orthonormal by
 * Gram-Schmidt, twice over, which leaves errors at float64's precision (Giraud et al., Numer. Math. 101, 2005).
 */
export function randomOrthogonal(order: number, seed: number): Float64Array {
  const next = seededUint32(seed)
  const matrix = new Float64Array(order * order)
  // Sums of four uniform numbers are near enough to a normal one, and the same to the last bit everywhere, which Math.log is not.
  for (let i = 0; i < matrix.length; i++) matrix[i] = (next() + next() + next() + next()) / 2 ** 31 - 4
  for (let row = 0; row < order; row++) {
    const own = matrix.subarray(row * order, (row + 1) * order)
    for (let pass = 0; pass < 2; pass++) {
      for (let other = 0; other < row; other++) subtractProjection(own, matrix.subarray(other * order, (other + 1) * order))
    }
    const length = Math.sqrt(dot(own, own))
    for (let i = 0; i < order; i++) own[i] /= length
  }
  return matrix
}

/** Takes the part along `unit` out of `vector`. */
function subtractProjection(vector: Float64Array, unit: Float64Array): void {
  const along = dot(vector, unit)
  for (let i = 0; i < vector.length; i++) vector[i] -= along * unit[i]
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}
