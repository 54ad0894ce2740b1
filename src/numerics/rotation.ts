import { seededUint32 } from '../util/rng.ts'
import { hadamardMatrix, hadamardOrder } from './hadamard.ts'
import { randomOrthogonal } from './orthogonal.ts'

/** An orthogonal matrix Q [size, size] that vectors are multiplied by. */
export interface Rotation {
  readonly size: number
  /** Every `size` elements are a row vector x and become x Q, in place. */
  rotate(vectors: Float64Array): void
}

/** The names are llm-compressor's. */
export type RotationType = 'hadamard' | 'random-hadamard' | 'random-matrix'

/** Orders up to here are cheap to make and to multiply by, and larger ones spread an outlier hardly better. */
const RANDOM_ORDER = 64

/**
 * A rotation as a Kronecker product D (M ⊗ S) of a small matrix M and Sylvester's Hadamard matrix S, so that it takes additions by halves
 * for all but M (fast Walsh-Hadamard transform).
 * - hadamard: M a Hadamard matrix of the smallest order there is; no D.
 * - random-hadamard: D random signs of the elements, then as hadamard (QuaRot, arXiv 2404.00456).
 * - random-matrix: M random orthogonal; no D; there is one of every size.
 * Null where no Hadamard matrix of the size is known here.
 */
export function rotationOf(type: RotationType, size: number, seed: number): Rotation | null {
  if (type === 'random-matrix') {
    const order = randomOrder(size)
    return kronecker(size, order, randomOrthogonal(order, seed), null)
  }
  const order = hadamardOrder(size)
  if (order === null) return null
  const small = hadamardMatrix(order)
  const scale = 1 / Math.sqrt(order)
  for (let i = 0; i < small.length; i++) small[i] *= scale
  return kronecker(size, order, small, type === 'random-hadamard' ? randomSigns(size, seed) : null)
}

/** The odd part of `size`, times as many twos as go into it up to RANDOM_ORDER. */
function randomOrder(size: number): number {
  let order = size
  while (order % 2 === 0 && order > RANDOM_ORDER) order /= 2
  return order
}

function randomSigns(size: number, seed: number): Float64Array {
  const next = seededUint32(seed)
  return Float64Array.from({ length: size }, () => (next() >= 2 ** 31 ? 1 : -1))
}

function kronecker(size: number, order: number, small: Float64Array, signs: Float64Array | null): Rotation {
  const width = size / order
  const scale = 1 / Math.sqrt(width)
  const scaled = small.map((value) => value * scale)
  const product = new Float64Array(size)
  return {
    size,
    rotate: (vectors) => {
      for (let start = 0; start < vectors.length; start += size) {
        const vector = vectors.subarray(start, start + size)
        if (signs) for (let i = 0; i < size; i++) vector[i] *= signs[i]
        walshHadamard(vector, width)
        multiplyBlocks(vector, order, width, scaled, product)
        vector.set(product)
      }
    },
  }
}

/** Every `width` elements (a power of two) times Sylvester's matrix of 1 and -1, in place. */
function walshHadamard(values: Float64Array, width: number): void {
  for (let half = 1; half < width; half *= 2) {
    for (let start = 0; start < values.length; start += 2 * half) {
      for (let i = start; i < start + half; i++) {
        const a = values[i]
        const b = values[i + half]
        values[i] = a + b
        values[i + half] = a - b
      }
    }
  }
}

/**
 * The blocks of `width` elements of `vector`, `order` of them, as one row vector of blocks times `matrix` [order, order]: into `product`.
 */
function multiplyBlocks(vector: Float64Array, order: number, width: number, matrix: Float64Array, product: Float64Array): void {
  const unrolled = order - (order % 4)
  for (let i = 0; i < width; i++) {
    // Four sums that share each load: half the time of one.
    for (let to = 0; to < unrolled; to += 4) {
      let a = 0
      let b = 0
      let c = 0
      let d = 0
      for (let from = i, at = to; from < vector.length; from += width, at += order) {
        const x = vector[from]
        a += matrix[at] * x
        b += matrix[at + 1] * x
        c += matrix[at + 2] * x
        d += matrix[at + 3] * x
      }
      product[to * width + i] = a
      product[(to + 1) * width + i] = b
      product[(to + 2) * width + i] = c
      product[(to + 3) * width + i] = d
    }
    for (let to = unrolled; to < order; to++) {
      let sum = 0
      for (let from = i, at = to; from < vector.length; from += width, at += order) sum += matrix[at] * vector[from]
      product[to * width + i] = sum
    }
  }
}

/** Vectors that are gathered at a time: as many neighbours share a cache line. */
const TOGETHER = 16

/**
 * W ← W Q, in place: each row of `values` (any number of rows, whole) in consecutive blocks of Q's size, which divides the columns.
 * Computed in float64 and rounded once.
 */
export function rotateColumns(values: Float32Array, { size, rotate }: Rotation): void {
  const block = new Float64Array(size)
  for (let start = 0; start < values.length; start += size) {
    for (let i = 0; i < size; i++) block[i] = values[start + i]
    rotate(block)
    values.set(block, start)
  }
}

/** W ← Qᵀ W of a whole matrix [rows, columns], in place: each column in consecutive blocks of Q's size, which divides the rows. */
export function rotateRows(values: Float32Array, columns: number, { size, rotate }: Rotation): void {
  const gathered = new Float64Array(TOGETHER * size)
  for (let top = 0; top < values.length; top += size * columns) {
    for (let left = 0; left < columns; left += TOGETHER) {
      const count = Math.min(TOGETHER, columns - left)
      const block = gathered.subarray(0, count * size)
      for (let row = 0, at = top + left; row < size; row++, at += columns) {
        for (let i = 0; i < count; i++) block[i * size + row] = values[at + i]
      }
      rotate(block)
      for (let row = 0, at = top + left; row < size; row++, at += columns) {
        for (let i = 0; i < count; i++) values[at + i] = block[i * size + row]
      }
    }
  }
}
