import { tileSide } from '../tiles'

/*
 * Forward elimination of [H | I], H = RᵀR: the right half becomes M with MᵀM = inverse(H). Row i, for all columns j and k < i in order:
 * a_ij -= R_ki a_kj, then a_ij *= 1 / sqrt(pivot). R (upper) and M (lower) share one matrix of square tiles. The order of k is that of the
 * twin (../reference.ts), only outputs are vectorised, so the bytes are equal.
 *
 * A tile keeps 4 columns of a row together: [column / 4][row][4]. So both operands of a product are read in one straight line.
 */

const SIDE: usize = tileSide
const QUAD: usize = 32
/** Bytes of 4 columns of a tile. */
const STRIP: usize = SIDE * QUAD
/** Bytes of a tile. */
const TILE: usize = STRIP * (SIDE / 4)

@inline
function less(c: v128, r: v128, b: v128): v128 {
  return f64x2.sub(c, f64x2.mul(r, b))
}

/** c -= rᵀ b for 4 rows and 4 columns at c, summing over `depth` bytes of the strips r and b. */
@inline
function multiply(c: usize, r: usize, b: usize, depth: usize): void {
  let x0 = v128.load(c)
  let y0 = v128.load(c, 16)
  let x1 = v128.load(c, 32)
  let y1 = v128.load(c, 48)
  let x2 = v128.load(c, 64)
  let y2 = v128.load(c, 80)
  let x3 = v128.load(c, 96)
  let y3 = v128.load(c, 112)
  for (const end = r + depth; r < end; r += QUAD, b += QUAD) {
    const b0 = v128.load(b)
    const b1 = v128.load(b, 16)
    const r0 = v128.load_splat<f64>(r)
    x0 = less(x0, r0, b0)
    y0 = less(y0, r0, b1)
    const r1 = v128.load_splat<f64>(r, 8)
    x1 = less(x1, r1, b0)
    y1 = less(y1, r1, b1)
    const r2 = v128.load_splat<f64>(r, 16)
    x2 = less(x2, r2, b0)
    y2 = less(y2, r2, b1)
    const r3 = v128.load_splat<f64>(r, 24)
    x3 = less(x3, r3, b0)
    y3 = less(y3, r3, b1)
  }
  v128.store(c, x0)
  v128.store(c, y0, 16)
  v128.store(c, x1, 32)
  v128.store(c, y1, 48)
  v128.store(c, x2, 64)
  v128.store(c, y2, 80)
  v128.store(c, x3, 96)
  v128.store(c, y3, 112)
}

/** c -= rᵀ b, all tiles. */
function multiplyTile(c: usize, r: usize, b: usize): void {
  for (let column: usize = 0; column < TILE; column += STRIP) {
    for (let row: usize = 0; row < SIDE / 4; row++) multiply(c + column + row * 4 * QUAD, r + row * STRIP, b + column, STRIP)
  }
}

/** c[row] -= r c[above], half a quad each. */
@inline
function eliminate(row: v128, factor: usize, above: v128): v128 {
  return less(row, v128.load_splat<f64>(factor), above)
}

/** Two columns of 4 rows at c: the elimination among those rows themselves; r is the 4 x 4 part of R on the diagonal. */
@inline
function solve(c: usize, r: usize): void {
  const c0 = f64x2.mul(v128.load(c), v128.load_splat<f64>(r))
  const c1 = f64x2.mul(eliminate(v128.load(c, QUAD), r + 8, c0), v128.load_splat<f64>(r, QUAD + 8))
  const r2 = eliminate(eliminate(v128.load(c, QUAD * 2), r + 16, c0), r + QUAD + 16, c1)
  const c2 = f64x2.mul(r2, v128.load_splat<f64>(r, QUAD * 2 + 16))
  const r3 = eliminate(eliminate(eliminate(v128.load(c, QUAD * 3), r + 24, c0), r + QUAD + 24, c1), r + QUAD * 2 + 24, c2)
  v128.store(c, c0)
  v128.store(c, c1, QUAD)
  v128.store(c, c2, QUAD * 2)
  v128.store(c, f64x2.mul(r3, v128.load_splat<f64>(r, QUAD * 3 + 24)), QUAD * 3)
}

/** The elimination of tile c by the finished diagonal tile r of its own row of tiles. */
function solveTile(c: usize, r: usize): void {
  for (let column: usize = 0; column < TILE; column += STRIP) {
    for (let row: usize = 0; row < SIDE / 4; row++) {
      const at = c + column + row * 4 * QUAD
      multiply(at, r + row * STRIP, c + column, row * 4 * QUAD)
      const corner = r + row * (STRIP + 4 * QUAD)
      solve(at, corner)
      solve(at + 16, corner)
    }
  }
}

@inline
function element(tile: usize, row: usize, column: usize): usize {
  return tile + (column >> 2) * STRIP + row * QUAD + (column & 3) * 8
}

/** Cholesky of the upper half of a tile, in place; the diagonal becomes 1 / R_ii. False: not positive definite. */
function factorTile(c: usize): bool {
  for (let i: usize = 0; i < SIDE; i++) {
    for (let k: usize = 0; k < i; k++) {
      const r = load<f64>(element(c, k, i))
      for (let j = i; j < SIDE; j++) {
        const at = element(c, i, j)
        store<f64>(at, load<f64>(at) - r * load<f64>(element(c, k, j)))
      }
    }
    const pivot = load<f64>(element(c, i, i))
    if (!(pivot > 0 && pivot < Infinity)) return false
    const scale = 1 / Math.sqrt(pivot)
    store<f64>(element(c, i, i), scale)
    for (let j = i + 1; j < SIDE; j++) {
      const at = element(c, i, j)
      store<f64>(at, load<f64>(at) * scale)
    }
  }
  return true
}

@inline
function tileAt(matrix: usize, tiles: usize, row: usize, column: usize): usize {
  return matrix + (row * tiles + column) * TILE
}

/**
 * The diagonal tile of one row of tiles: R in `matrix`, its part of M in `lower` [tiles]. To be called for row 0, 1, ..., each followed by
 * its `panels`. 0: not positive definite.
 */
export function diagonal(matrix: usize, lower: usize, tiles: usize, row: usize, _lane: usize): i32 {
  const c = tileAt(matrix, tiles, row, row)
  for (let k: usize = 0; k < row; k++) {
    const r = tileAt(matrix, tiles, k, row)
    multiplyTile(c, r, r)
  }
  if (!factorTile(c)) return 0
  const m = lower + row * TILE
  memory.fill(m, 0, TILE)
  for (let i: usize = 0; i < SIDE; i++) store<f64>(element(m, i, i), 1)
  solveTile(m, c)
  return 1
}

/** The tiles `from` .. `to` of one row of tiles, but for its diagonal: R right of it, M left of it. Each is independent of the others. */
export function panels(matrix: usize, lower: usize, tiles: usize, row: usize, from: usize, to: usize, _lane: usize): i32 {
  for (let column = from; column < to; column++) {
    if (column == row) continue
    const c = tileAt(matrix, tiles, row, column)
    let k: usize = 0
    if (column < row) {
      multiplyTile(c, tileAt(matrix, tiles, column, row), lower + column * TILE)
      k = column + 1
    }
    for (; k < row; k++) multiplyTile(c, tileAt(matrix, tiles, k, row), tileAt(matrix, tiles, k, column))
    solveTile(c, tileAt(matrix, tiles, row, row))
  }
  return 1
}
