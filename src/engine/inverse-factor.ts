import * as tf from '@tensorflow/tfjs-core'
import { firstNonFinite } from '../numerics/finite.ts'
import { bytesOf } from '../numerics/view.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { span } from '../util/span.ts'
import { matMul } from './mat-mul.ts'
import { tensorflowKernel } from './tensorflow-kernel.ts'

/** Up to this side TensorFlow's own kernels are faster than products of halves (Cholesky and solve are single-threaded, half empty). */
const SMALLEST_HALVED = 192

/**
 * Above this side the halves are on the engine one by one and the matrix is not: for the 14336 columns of a large MLP that is 0.8 GB instead
 * of 2.5. It is the same arithmetic, so the same factor.
 */
const LARGEST_WHOLE = 4096

/** Rows of a block that are on the engine at a time, beside the block that they are multiplied with. */
const STRIP = 1024

/**
 * U (upper, row major [n, n]) with inverse(H) = UᵀU, float32, on the TensorFlow backend; it takes the place of H. With J the reversal of
 * rows and columns, JHJ = LLᵀ gives H = (JLJ)(JLJ)ᵀ, JLJ upper, so U = J L⁻¹ J: one factorisation instead of Cholesky, inverse, Cholesky.
 * Null when H is not positive definite: TensorFlow then fills L with NaN.
 */
export async function inverseFactor(h: Float32Array, n: number, largestWhole = LARGEST_WHOLE): Promise<Float32Array | null> {
  // A factor n³ / 3, its inverse as much again.
  return span('kernel', 'inverseFactor', () => reversedFactor(h, n, largestWhole), (2 / 3) * n ** 3)
}

function reversedFactor(h: Float32Array, n: number, largestWhole: number): Float32Array | null {
  // Reversing rows and columns of a row-major matrix is reversing its elements.
  const reversed = new MatrixBlocks(h.reverse(), n)
  tf.tidy(() => invertInPlace(reversed, 0, n, largestWhole))
  h.reverse()
  return isFactor(h, n) ? h : null
}

/** `inverseCholesky` of the rows and columns from `from` to `to`, above `largestWhole` with one block after the other on the engine. */
function invertInPlace(matrix: MatrixBlocks, from: number, to: number, largestWhole: number): void {
  const n = to - from
  if (n <= largestWhole) {
    matrix.write(from, from, () => inverseCholesky(matrix.read(from, to, from, to)))
    return
  }
  const middle = from + halfOf(n)
  invertInPlace(matrix, from, middle, largestWhole)
  const strips: (readonly [top: number, bottom: number])[] = []
  for (let top = middle; top < to; top += STRIP) strips.push([top, Math.min(to, top + STRIP)])
  const first = lowerBlocks(matrix, from, middle)
  const across = strips.map(([top, bottom]) => {
    const strip = tf.tidy(() => timesTurned(matrix.read(top, bottom, from, middle), first))
    matrix.write(top, from, () => timesLower(strip, first))
    // The engine has its own copy of what was read: of 14336 columns 0.4 GB would await collection.
    collectGarbage()
    return strip
  })
  tf.dispose(first.map(({ rows, columns }) => [rows, columns]))
  // On and below the diagonal alone: nobody reads what is above.
  for (const [i, [top, bottom]] of strips.entries()) {
    for (const [j, [left, right]] of strips.slice(0, i + 1).entries()) {
      matrix.write(top, left, () => tf.sub(matrix.read(top, bottom, left, right), matMul(across[i], across[j], false, true)))
    }
    collectGarbage()
  }
  tf.dispose(across)
  invertInPlace(matrix, middle, to, largestWhole)
  const product = matrix.read(middle, to, from, middle)
  for (const [top, bottom] of strips) {
    matrix.write(top, from, () => {
      const above = tf.slice(product, [0, 0], [bottom - middle, product.shape[1]])
      return tf.neg(matMul(matrix.read(top, bottom, middle, bottom), above) as tf.Tensor2D)
    })
    collectGarbage()
  }
  product.dispose()
  matrix.clear(from, middle, middle, to)
}

/*
 * Products with a lower triangular matrix, by blocks of its columns, without most of its zeros: of 7 blocks 4 sevenths of the work. The
 * blocks are cut out once for all strips.
 */

/** What is not zero of some rows and of the same columns of a lower triangular matrix. */
interface LowerBlock {
  readonly from: number
  readonly to: number
  /** [to - from, to] */
  readonly rows: tf.Tensor2D
  /** [n - from, to - from] */
  readonly columns: tf.Tensor2D
}

/** The blocks of the lower triangular matrix that lies in the rows and columns from `first` to `last`. */
function lowerBlocks(matrix: MatrixBlocks, first: number, last: number): LowerBlock[] {
  const blocks: LowerBlock[] = []
  for (let top = first; top < last; top += STRIP) {
    const bottom = Math.min(last, top + STRIP)
    const [from, to] = [top - first, bottom - first]
    blocks.push({ from, to, rows: matrix.read(top, bottom, first, bottom), columns: matrix.read(top, last, top, bottom) })
    // The engine has its own copy of what was read.
    collectGarbage()
  }
  return blocks
}

/** a·bᵀ */
function timesTurned(a: tf.Tensor2D, b: readonly LowerBlock[]): tf.Tensor2D {
  return byBlocks(b, ({ to, rows }) => matMul(tf.slice(a, [0, 0], [a.shape[0], to]), rows, false, true))
}

/** a·b */
function timesLower(a: tf.Tensor2D, b: readonly LowerBlock[]): tf.Tensor2D {
  return byBlocks(b, ({ from, columns }) => matMul(tf.slice(a, [0, from], [a.shape[0], columns.shape[0]]), columns))
}

function byBlocks(blocks: readonly LowerBlock[], times: (block: LowerBlock) => tf.Tensor): tf.Tensor2D {
  const parts = blocks.map((block) => tf.tidy(() => times(block)))
  return (parts.length === 1 ? parts[0] : tf.concat(parts, 1)) as tf.Tensor2D
}

/** A square matrix in memory whose blocks go to the engine and come back. */
class MatrixBlocks {
  readonly #values: Float32Array
  readonly #n: number

  constructor(values: Float32Array, n: number) {
    this.#values = values
    this.#n = n
  }

  read(top: number, bottom: number, left: number, right: number): tf.Tensor2D {
    const width = right - left
    const part = new Float32Array((bottom - top) * width)
    for (let row = top; row < bottom; row++) {
      part.set(this.#values.subarray(row * this.#n + left, row * this.#n + right), (row - top) * width)
    }
    return tf.tensor2d(part, [bottom - top, width])
  }

  /** Fills a block with zeros. */
  clear(top: number, bottom: number, left: number, right: number): void {
    for (let row = top; row < bottom; row++) this.#values.fill(0, row * this.#n + left, row * this.#n + right)
  }

  /** Puts what `make` gives at a place; its tensors are disposed of. */
  write(top: number, left: number, make: () => tf.Tensor2D): void {
    const block = tf.tidy(make)
    const [rows, width] = block.shape
    const values = block.dataSync<'float32'>()
    block.dispose()
    for (let row = 0; row < rows; row++) {
      this.#values.set(values.subarray(row * width, (row + 1) * width), (top + row) * this.#n + left)
    }
  }
}

/** Where a matrix of n rows is cut: whole vectors of the widest registers. */
function halfOf(n: number): number {
  return Math.ceil(n / 32) * 16
}

/**
 * L⁻¹ of a = LLᵀ, lower, by halves, so that nearly all work is products: with a = [[A, Bᵀ], [B, C]], F = L⁻¹ of A, K = B Fᵀ and G = L⁻¹ of
 * C - K Kᵀ it is [[F, 0], [-G K F, G]].
 */
function inverseCholesky(a: tf.Tensor2D): tf.Tensor2D {
  const [n] = a.shape
  if (n <= SMALLEST_HALVED) {
    const lower = tensorflowKernel('Cholesky', {}, [a])
    return tensorflowKernel('MatrixTriangularSolve', { lower: true, adjoint: false }, [lower, tf.eye(n)]) as tf.Tensor2D
  }
  return tf.tidy(() => {
    const half = halfOf(n)
    const rest = n - half
    const first = inverseCholesky(tf.slice(a, [0, 0], [half, half]))
    const across = matMul(tf.slice(a, [half, 0], [rest, half]), first, false, true) as tf.Tensor2D
    const second = inverseCholesky(tf.sub(tf.slice(a, [half, half], [rest, rest]), matMul(across, across, false, true)))
    const below = tf.neg(matMul(second, matMul(across, first))) as tf.Tensor2D
    return tf.concat([tf.concat([first, tf.zeros([half, rest])], 1), tf.concat([below, second], 1)], 0) as tf.Tensor2D
  })
}

/** Finite throughout with a positive diagonal. A failed Cholesky leaves NaN in some elements, not in all. */
function isFactor(factor: Float32Array, n: number): boolean {
  if (firstNonFinite(bytesOf(factor), 'F32') >= 0) return false
  for (let i = 0; i < n; i++) if (!(factor[i * n + i] > 0)) return false
  return true
}
