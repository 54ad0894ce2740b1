/**
 * x with (A + 1e-5 diag A) x = b in float64 by Cholesky; of A only the upper triangle is read, a diagonal of 0 or less counts as 1 (a group
 * whose codes are all zero has nothing to fit). Null when A is not positive definite even so.
 */
export function choleskySolve(matrix: readonly Float64Array[], right: Float64Array): Float64Array | null {
  const n = right.length
  const u = matrix.map((row) => row.slice())
  const x = right.slice()
  for (let i = 0; i < n; i++) u[i][i] = u[i][i] > 0 ? u[i][i] * (1 + 1e-5) : 1
  for (let p = 0; p < n; p++) {
    const pivot = u[p][p]
    if (!(pivot > 0 && pivot < Infinity)) return null
    const inverse = 1 / Math.sqrt(pivot)
    for (let h = p + 1; h < n; h++) u[p][h] *= inverse
    u[p][p] = inverse
    x[p] *= inverse
    for (let g = p + 1; g < n; g++) {
      const factor = u[p][g]
      x[g] -= factor * x[p]
      for (let h = g; h < n; h++) u[g][h] -= factor * u[p][h]
    }
  }
  for (let p = n - 1; p >= 0; p--) {
    let sum = x[p]
    for (let h = p + 1; h < n; h++) sum -= u[p][h] * x[h]
    x[p] = sum * u[p][p]
  }
  return x
}
