import * as tf from '@tensorflow/tfjs-core'
import { matMul, quickMatMul } from './mat-mul.ts'

/*
 * A symmetric matrix as bands: band i has rows from cuts[i] to cuts[i + 1] and columns from cuts[i] on. What is left of the diagonal block
 * mirrors the bands above. So sums of symmetric matrices add, and products multiply, little more than half of the elements.
 */

/** At most so many bands: of four, ten sixteenths of the elements are computed. */
const MOST_BANDS = 4
/** Rows of a band below which products are too small to pay. */
const SMALLEST_BAND = 192

/** Where the bands of a symmetric matrix of n rows begin, and n. */
function bandCuts(n: number): number[] {
  const count = Math.max(1, Math.min(MOST_BANDS, Math.floor(n / SMALLEST_BAND)))
  return Array.from({ length: count + 1 }, (_, i) => Math.round((n * i) / count))
}

/**
 * The bands of xᵀx of x [rows, columns], added to those of `before`, which are disposed of one by one: with wide inputs the sums are most
 * of what a run holds. TensorFlow gets both operands as rows of xᵀ, which are cut out in one piece; wasm the right one as columns of x,
 * since it is slow at transposed operands. 2048 rows of 1536 columns on TensorFlow: 40 ms, in square blocks 47, whole 50.
 */
export function gramBands(x: tf.Tensor2D, before: readonly tf.Tensor2D[] = []): tf.Tensor2D[] {
  const [rows, columns] = x.shape
  const cuts = bandCuts(columns)
  return tf.tidy(() => {
    const turned = tf.transpose(x)
    return cuts.slice(1).map((to, i) => {
      const from = cuts[i]
      const product = () => {
        const left = cuts.length === 2 ? turned : tf.slice(turned, [from, 0], [to - from, rows])
        if (tf.getBackend() === 'wasm')
          return quickMatMul(left, from === 0 ? x : tf.slice(x, [0, from], [rows, columns - from])) as tf.Tensor2D
        return quickMatMul(left, from === 0 ? turned : tf.slice(turned, [from, 0], [columns - from, rows]), false, true) as tf.Tensor2D
      }
      const sum = tf.tidy(() => (before.length > 0 ? tf.add<tf.Tensor2D>(before[i], product()) : product()))
      before[i]?.dispose()
      return sum
    })
  })
}

/** Side of the squares that are mirrored at a time: both fit a first-level cache. */
const MIRROR = 64

/**
 * The symmetric matrix of the bands, [n, n], symmetric to the last bit in its off-diagonal blocks. The bands are disposed of one by one, so
 * that little more than the matrix is held.
 */
export async function readBands(bands: readonly tf.Tensor2D[]): Promise<Float32Array> {
  const n = bands[0].shape[1]
  if (bands.length === 1) {
    const values = await bands[0].data<'float32'>()
    bands[0].dispose()
    return values
  }
  const cuts = bandCuts(n)
  const out = new Float32Array(n * n)
  for (const [i, band] of bands.entries()) {
    const from = cuts[i]
    const width = n - from
    const values = await band.data<'float32'>()
    band.dispose()
    for (let row = from; row < cuts[i + 1]; row++) {
      const at = (row - from) * width
      out.set(values.subarray(at, at + width), row * n + from)
    }
    mirror(out, n, from, cuts[i + 1])
  }
  return out
}

/** Rows `from` to `to`, columns from `to` on, to the other side of the diagonal. */
function mirror(values: Float32Array, n: number, from: number, to: number): void {
  for (let top = to; top < n; top += MIRROR) {
    const bottom = Math.min(n, top + MIRROR)
    for (let left = from; left < to; left += MIRROR) {
      const right = Math.min(to, left + MIRROR)
      for (let row = top; row < bottom; row++)
        for (let column = left; column < right; column++) values[row * n + column] = values[column * n + row]
    }
  }
}

/**
 * e H eᵀ of every row e of matrices [rows, n], H [n, n] symmetric: [rows] for each. Of H only its bands are multiplied, the part beyond the
 * diagonal block counting twice, and one band at a time is on the engine.
 */
export async function quadraticForms(errors: readonly Float32Array[], hessian: Float32Array, n: number): Promise<Float32Array[]> {
  const found: Float32Array[] = []
  for (const e of errors) {
    const sums = tf.tidy(() => formsOf(tf.tensor2d(e, [e.length / n, n]), hessian))
    found.push(await sums.data<'float32'>())
    sums.dispose()
  }
  return found
}

function formsOf(e: tf.Tensor2D, hessian: Float32Array): tf.Tensor1D {
  const [rows, n] = e.shape
  const cuts = bandCuts(n)
  const parts = cuts.slice(1).map((to, i) =>
    tf.tidy(() => {
      const from = cuts[i]
      const left = tf.slice(e, [0, from], [rows, to - from])
      const diagonal = tf.mul(matMul(left, block(hessian, n, from, to, from, to)), left)
      if (to === n) return tf.sum<tf.Tensor1D>(diagonal, 1)
      const right = tf.slice(e, [0, to], [rows, n - to])
      const beyond = tf.mul(matMul(left, block(hessian, n, from, to, to, n)), right)
      return tf.add<tf.Tensor1D>(tf.sum(diagonal, 1), tf.mul(tf.sum(beyond, 1), 2))
    }),
  )
  return tf.addN<tf.Tensor1D>(parts)
}

/** Rows `top` to `bottom`, columns `left` to `right` of a matrix [n, n], on the engine. */
function block(values: Float32Array, n: number, top: number, bottom: number, left: number, right: number): tf.Tensor2D {
  const width = right - left
  if (width === n) return tf.tensor2d(values.subarray(top * n, bottom * n), [bottom - top, n])
  const part = new Float32Array((bottom - top) * width)
  for (let row = top; row < bottom; row++) part.set(values.subarray(row * n + left, row * n + right), (row - top) * width)
  return tf.tensor2d(part, [bottom - top, width])
}
