import * as tf from '@tensorflow/tfjs-core'
import { SymmetricMatrix } from '../numerics/symmetric-matrix.ts'
import { eachBfloat16Band } from './bfloat16-product.ts'
import { linearMatMul, matMul, quickMatMul } from './mat-mul.ts'
import { eachWasmBand } from './wasm-product.ts'

/*
 * A symmetric matrix as bands: band i has rows from cuts[i] to cuts[i + 1] and columns from cuts[i] on. What is left of the diagonal block
 * mirrors the bands above. So sums of symmetric matrices add, and products multiply, little more than half of the elements.
 */

/** At most so many bands: of four, ten sixteenths of the elements are computed. */
const MOST_BANDS = 4
/** Rows of a band below which products are too small to pay: 576 columns in bfloat16 take 1.6 ms in two bands, 1.9 in three, in float32 2.7 either way. */
const SMALLEST_BAND = 256

/** Up to this side a symmetric matrix is on the engine whole in `timesSymmetric`. */
const LARGEST_WHOLE = 4096
/** Elements of a matrix that are multiplied at a time, 64 MB: it and what comes of it are there several times. Rows come out the same. */
const STRIP = 2 ** 24
/** The same of quadratic forms, which have the matrix, its products and parts of both on the engine: 16 MB each. */
const FORMS_STRIP = 2 ** 22

/** Where the bands of a symmetric matrix of n rows begin, and n. */
function bandCuts(n: number): number[] {
  const count = Math.max(1, Math.min(MOST_BANDS, Math.floor(n / SMALLEST_BAND)))
  return Array.from({ length: count + 1 }, (_, i) => Math.round((n * i) / count))
}

/**
 * The bands of xᵀx of x [rows, columns], added to those of `before`, which are disposed of one by one: with wide inputs the sums are most
 * of what a run holds. On TensorFlow, 2048 rows of 1536 columns: 40 ms, in
 * square blocks 47, whole 50.
 * `rounded`: sums may be rounded to bfloat16, batch by batch, where the run's precision does that (`roundsOutputs`): half the time.
 */
export function gramBands(x: tf.Tensor2D, before: readonly tf.Tensor2D[] = [], rounded = false): tf.Tensor2D[] {
  return tf.tidy(() => {
    const sums: tf.Tensor2D[] = []
    const each = rounded ? eachBfloat16Band : tf.getBackend() === 'wasm' ? eachWasmBand : eachBand
    each(x, bandCuts(x.shape[1]), (make) => {
      const old = before[sums.length]
      sums.push(tf.tidy(() => (old ? tf.add<tf.Tensor2D>(old, make()) : make())))
      old?.dispose()
    })
    return sums
  })
}

/** The bands of xᵀx in float32, one by one. Both factors are rows of xᵀ, which are cut out in one piece. Runs within a tidy. */
function eachBand(x: tf.Tensor2D, cuts: readonly number[], visit: (make: () => tf.Tensor2D) => void): void {
  const [rows, columns] = x.shape
  const turned = tf.transpose(x)
  for (const [i, from] of cuts.slice(0, -1).entries()) {
    const to = cuts[i + 1]
    visit(() => {
      const right = from === 0 ? turned : tf.slice(turned, [from, 0], [columns - from, rows])
      return quickMatMul(to === columns ? right : tf.slice(turned, [from, 0], [to - from, rows]), right, false, true) as tf.Tensor2D
    })
  }
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
 * diagonal block counting twice. One band at a time is on the engine, as it lies in memory; of large matrices some rows at a time, too.
 */
export async function quadraticForms(errors: readonly Float32Array[], hessian: SymmetricMatrix): Promise<Float32Array[]> {
  const { n } = hessian
  const size = errors.reduce((sum, e) => sum + e.length, 0)
  const isSmall = size <= FORMS_STRIP
  // Small ones are one matrix: each by itself, they were half of all operations of a run of GPTQ on SmolLM2-135M.
  const parts = isSmall ? [joined(errors, size)] : errors.flatMap((e) => Array.from(strips(e, n, FORMS_STRIP), ([, part]) => part))
  const load = (part: Float32Array) => tf.tensor2d(part, [part.length / n, n])
  const loaded = isSmall ? parts.map(load) : []
  let sums: tf.Tensor1D[] = []
  try {
    for (const band of hessian.bands()) {
      const before = sums
      sums = tf.tidy(() => {
        // The band as it was goes before the products: of 14336 columns it is 0.2 GB.
        const values = tf.tidy(() => counted(tf.tensor2d(band.values, [band.to - band.from, n - band.from])))
        return parts.map((part, i) => {
          const own = tf.tidy(() => formsOf(loaded[i] ?? load(part), values, band.from))
          return before.length === 0 ? own : tf.add<tf.Tensor1D>(before[i], own)
        })
      })
      tf.dispose(before)
    }
    const found = await Promise.all(sums.map((sum) => sum.data<'float32'>()))
    const all = joined(found, size / n)
    let from = 0
    return errors.map((e) => {
      const top = from
      from += e.length / n
      return all.subarray(top, from)
    })
  } finally {
    tf.dispose([...loaded, ...sums])
  }
}

/** Arrays one after the other, `size` values in all. */
function joined(arrays: readonly Float32Array[], size: number): Float32Array {
  if (arrays.length === 1) return arrays[0]
  const out = new Float32Array(size)
  let from = 0
  for (const array of arrays) {
    out.set(array, from)
    from += array.length
  }
  return out
}

/** Some rows after the others of a matrix [rows, n], with the number of the first. */
function* strips(e: Float32Array, n: number, most = STRIP): Generator<readonly [top: number, part: Float32Array]> {
  const rows = Math.max(1, Math.floor(most / n))
  for (let top = 0; top * n < e.length; top += rows) yield [top, e.subarray(top * n, (top + rows) * n)]
}

/** A band [height, width] of H with its columns beyond the diagonal block doubled, which is exact. */
function counted(band: tf.Tensor2D): tf.Tensor2D {
  const [height, width] = band.shape
  return height === width ? band : tf.mul(band, tf.tensor1d(new Float32Array(width).fill(2).fill(1, 0, height)))
}

/** What a band [height, n - from] of H, `counted`, adds to the forms of e [rows, n]: [rows]. */
function formsOf(e: tf.Tensor2D, band: tf.Tensor2D, from: number): tf.Tensor1D {
  const [rows, n] = e.shape
  const [height, width] = band.shape
  const left = height === n ? e : tf.slice(e, [0, from], [rows, height])
  const right = from === 0 ? e : tf.slice(e, [0, from], [rows, width])
  return tf.sum<tf.Tensor1D>(tf.mul(linearMatMul(left, band), right), 1)
}

/** e H of every row e of a matrix [rows, n], H [n, n] symmetric; of a wide H so many columns at a time are on the engine. */
export async function timesSymmetric(e: Float32Array, hessian: SymmetricMatrix, largestWhole = LARGEST_WHOLE): Promise<Float32Array> {
  const { n } = hessian
  const out = new Float32Array(e.length)
  const step = n <= largestWhole ? n : Math.ceil(n / Math.ceil(n / (largestWhole / 2)))
  for (let from = 0; from < n; from += step) {
    const width = Math.min(n, from + step) - from
    const columns = tf.tensor2d(hessian.block(0, n, from, from + width), [n, width])
    try {
      for (const [top, part] of strips(e, n)) {
        const product = tf.tidy(() => matMul(tf.tensor2d(part, [part.length / n, n]), columns))
        const values = await product.data<'float32'>()
        product.dispose()
        for (let at = 0, row = top; at < values.length; at += width, row++) out.set(values.subarray(at, at + width), row * n + from)
      }
    } finally {
      columns.dispose()
    }
  }
  return out
}
