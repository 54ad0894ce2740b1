/*
 * Least squares of the scales of one row: the float64 operations of the twin (../reference-solve.ts), in its order for every element; only
 * neighbouring elements go side by side.
 */

/** Bytes from one row of a matrix of n x n to the next: an even number of float64, so that rows stay aligned to vectors. */
@inline
export function pitchOf(n: usize): usize {
  return ((n + 1) & ~1) * 8
}

/** y -= a x for float64 elements `from` .. `to`. */
@inline
function subtract(y: usize, a: f64, x: usize, from: usize, to: usize): void {
  let h = from
  if (h & 1 && h < to) {
    store<f64>(y + h * 8, load<f64>(y + h * 8) - a * load<f64>(x + h * 8))
    h++
  }
  const factor = f64x2.splat(a)
  for (; h + 1 < to; h += 2) {
    v128.store(y + h * 8, f64x2.sub(v128.load(y + h * 8), f64x2.mul(factor, v128.load(x + h * 8))))
  }
  if (h < to) store<f64>(y + h * 8, load<f64>(y + h * 8) - a * load<f64>(x + h * 8))
}

/** x [n], b on entry, with (A + 1e-5 diag A) x = b; u holds the upper triangle of A and is used up. False: not positive definite. */
export function choleskySolve(u: usize, x: usize, n: usize): bool {
  const pitch = pitchOf(n)
  for (let i: usize = 0; i < n; i++) {
    const at = u + i * (pitch + 8)
    const value = load<f64>(at)
    store<f64>(at, value > 0 ? value * (1 + 1e-5) : 1)
  }
  for (let p: usize = 0; p < n; p++) {
    const row = u + p * pitch
    const pivot = load<f64>(row + p * 8)
    if (!(pivot > 0 && pivot < Infinity)) return false
    const inverse = 1 / Math.sqrt(pivot)
    for (let h = p + 1; h < n; h++) store<f64>(row + h * 8, load<f64>(row + h * 8) * inverse)
    store<f64>(row + p * 8, inverse)
    const solved = load<f64>(x + p * 8) * inverse
    store<f64>(x + p * 8, solved)
    for (let g = p + 1; g < n; g++) {
      const factor = load<f64>(row + g * 8)
      store<f64>(x + g * 8, load<f64>(x + g * 8) - factor * solved)
      subtract(u + g * pitch, factor, row, g, n)
    }
  }
  for (let p = n; p-- > 0; ) {
    const row = u + p * pitch
    let sum = load<f64>(x + p * 8)
    for (let h = p + 1; h < n; h++) sum -= load<f64>(row + h * 8) * load<f64>(x + h * 8)
    store<f64>(x + p * 8, sum * load<f64>(row + p * 8))
  }
  return true
}
