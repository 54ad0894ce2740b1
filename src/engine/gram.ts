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
 * The bands of xᵀx of x [rows, columns]. TensorFlow gets both operands as rows of xᵀ, which are cut out in one piece; wasm the right one
 * as columns of x, since it is slow at transposed operands. 2048 rows of 1536 columns on TensorFlow: 40 ms, in square blocks 47, whole 50.
 */
export function gramBands(x: tf.Tensor2D): tf.Tensor2D[] {
  const [rows, columns] = x.shape
  const cuts = bandCuts(columns)
  return tf.tidy(() => {
    const turned = tf.transpose(x)
    return cuts.slice(1).map((to, i) => {
      const from = cuts[i]
      const left = cuts.length === 2 ? turned : tf.slice(turned, [from, 0], [to - from, rows])
      if (tf.getBackend() === 'wasm')
        return quickMatMul(left, from === 0 ? x : tf.slice(x, [0, from], [rows, columns - from])) as tf.Tensor2D
      return quickMatMul(left, from === 0 ? turned : tf.slice(turned, [from, 0], [columns - from, rows]), false, true) as tf.Tensor2D
    })
  })
}

/** The symmetric matrix of the bands, [n, n], symmetric to the last bit in its off-diagonal blocks. */
export function joinBands(bands: readonly tf.Tensor2D[]): tf.Tensor2D {
  if (bands.length === 1) return tf.clone(bands[0])
  const cuts = bandCuts(bands[0].shape[1])
  return tf.tidy(() => {
    const mirrored = (band: number, above: number) =>
      tf.transpose(tf.slice(bands[above], [0, cuts[band] - cuts[above]], [cuts[above + 1] - cuts[above], cuts[band + 1] - cuts[band]]))
    return tf.concat(
      bands.map((band, i) => (i === 0 ? band : tf.concat([...Array.from({ length: i }, (_, above) => mirrored(i, above)), band], 1))),
      0,
    ) as tf.Tensor2D
  })
}

/**
 * e H eᵀ of every row e of a matrix [rows, n], H symmetric: [rows]. Of H only its bands are multiplied, the part beyond the diagonal block
 * counting twice.
 */
export function quadraticForms(e: tf.Tensor2D, hessian: tf.Tensor2D): tf.Tensor1D {
  const [rows, n] = e.shape
  const cuts = bandCuts(n)
  return tf.tidy(() => {
    const parts = cuts.slice(1).map((to, i) => {
      const from = cuts[i]
      const left = tf.slice(e, [0, from], [rows, to - from])
      const diagonal = tf.mul(matMul(left, tf.slice(hessian, [from, from], [to - from, to - from])), left)
      if (to === n) return tf.sum<tf.Tensor1D>(diagonal, 1)
      const right = tf.slice(e, [0, to], [rows, n - to])
      const beyond = tf.mul(matMul(left, tf.slice(hessian, [from, to], [to - from, n - to])), right)
      return tf.add<tf.Tensor1D>(tf.sum(diagonal, 1), tf.mul(tf.sum(beyond, 1), 2))
    })
    return tf.addN<tf.Tensor1D>(parts)
  })
}
