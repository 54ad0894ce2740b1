import * as tf from '@tensorflow/tfjs-core'
import { SymmetricMatrix } from '../numerics/symmetric-matrix.ts'
import { matMul, quickMatMul } from './mat-mul.ts'

/*
 * A symmetric matrix as bands: band i has rows from cuts[i] to cuts[i + 1] and columns from cuts[i] on. What is left of the diagonal block
 * mirrors the bands above. So sums of symmetric matrices add, and products multiply, little more than half of the elements.
 */

/** At most so many bands: of four, ten sixteenths of the elements are computed. */
const MOST_BANDS = 4
/** Rows of a band below which products are too small to pay. */
const SMALLEST_BAND = 192

/** Up to this side a product with a symmetric matrix is taken at once: beyond, memory counts for more. */
const LARGEST_WHOLE = 4096
/** Rows that forms with a larger one are taken of at a time. */
const FORM_ROWS = 1024

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

/** The symmetric matrix of the bands, in memory. The bands are disposed of one by one, so that little more than the matrix is held. */
export async function readBands(bands: readonly tf.Tensor2D[]): Promise<SymmetricMatrix> {
  const parts: Float32Array[] = []
  for (const band of bands) {
    parts.push(await band.data<'float32'>())
    band.dispose()
  }
  return new SymmetricMatrix(bandCuts(bands[0].shape[1]), parts)
}

/**
 * e H eᵀ of every row e of matrices [rows, n], H [n, n] symmetric: [rows] for each. Of H only its bands are multiplied, the part beyond the
 * diagonal block counting twice, and one band at a time is on the engine; of a wide H some rows at a time, too.
 */
export async function quadraticForms(errors: readonly Float32Array[], hessian: SymmetricMatrix): Promise<Float32Array[]> {
  const { n } = hessian
  const found: Float32Array[] = []
  for (const e of errors) {
    const forms = new Float32Array(e.length / n)
    const strip = n > LARGEST_WHOLE ? FORM_ROWS : forms.length
    for (let top = 0; top < forms.length; top += strip) {
      const part = e.subarray(top * n, (top + strip) * n)
      const sums = tf.tidy(() => formsOf(tf.tensor2d(part, [part.length / n, n]), hessian))
      forms.set(await sums.data<'float32'>(), top)
      sums.dispose()
    }
    found.push(forms)
  }
  return found
}

function formsOf(e: tf.Tensor2D, hessian: SymmetricMatrix): tf.Tensor1D {
  const [rows, n] = e.shape
  const cuts = bandCuts(n)
  const block = (top: number, bottom: number, left: number, right: number) =>
    tf.tensor2d(hessian.block(top, bottom, left, right), [bottom - top, right - left])
  const parts = cuts.slice(1).map((to, i) =>
    tf.tidy(() => {
      const from = cuts[i]
      const left = tf.slice(e, [0, from], [rows, to - from])
      const diagonal = tf.mul(matMul(left, block(from, to, from, to)), left)
      if (to === n) return tf.sum<tf.Tensor1D>(diagonal, 1)
      const right = tf.slice(e, [0, to], [rows, n - to])
      const beyond = tf.mul(matMul(left, block(from, to, to, n)), right)
      return tf.add<tf.Tensor1D>(tf.sum(diagonal, 1), tf.mul(tf.sum(beyond, 1), 2))
    }),
  )
  return tf.addN<tf.Tensor1D>(parts)
}

/** e H of every row e of a matrix [rows, n], H [n, n] symmetric; of a wide H so many columns at a time are on the engine. */
export async function timesSymmetric(e: Float32Array, hessian: SymmetricMatrix, largestWhole = LARGEST_WHOLE): Promise<Float32Array> {
  const { n } = hessian
  const rows = e.length / n
  const product = (left: tf.Tensor, from: number, to: number) =>
    matMul(left, tf.tensor2d(hessian.block(0, n, from, to), [n, to - from])) as tf.Tensor2D
  if (n <= largestWhole) {
    const whole = tf.tidy(() => product(tf.tensor2d(e, [rows, n]), 0, n))
    const values = await whole.data<'float32'>()
    whole.dispose()
    return values
  }
  const out = new Float32Array(rows * n)
  const left = tf.tensor2d(e, [rows, n])
  try {
    const step = Math.ceil(n / Math.ceil(n / (largestWhole / 2)))
    for (let from = 0; from < n; from += step) {
      const to = Math.min(n, from + step)
      const part = tf.tidy(() => product(left, from, to))
      const values = await part.data<'float32'>()
      part.dispose()
      for (let row = 0; row < rows; row++) out.set(values.subarray(row * (to - from), (row + 1) * (to - from)), row * n + from)
    }
    return out
  } finally {
    left.dispose()
  }
}
