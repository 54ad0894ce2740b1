import * as tf from '@tensorflow/tfjs-core'
import { span } from '../util/span.ts'
import { isBfloat16, toBfloat16, toFloat32 } from './bfloat16.ts'
import { bfloat16Product } from './bfloat16-product.ts'
import { roundsOutputs, roundsProducts } from './precision.ts'
import { tensorflowKernel } from './tensorflow-kernel.ts'
import { wasmProduct } from './wasm-product.ts'

/**
 * a·b on the current backend, a and b [..., rows, columns] with equal leading dimensions, or b one matrix for every matrix of a.
 * Each backend gets the form it is fast and repeatable in:
 * - wasm: the kernels' own (`wasmProduct`), three times as fast as XNNPACK on one core, which takes 2-D products without transposes alone;
 * - TensorFlow: oneDNN splits a transposed `a` along the summed dimension by the number of threads, so the last bits of the result
 *   would depend on `threads`. With `a` transposed beforehand, 1 to 4 threads gave the same bytes for every shape tried.
 */
export function matMul(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  return product(a, b, transposeA, transposeB, exact)
}

/**
 * As `matMul`, for the products that a run may take in lower precision (`Precision`): many tokens through a linear, and sums over many
 * tokens, where the roundings of single factors average out. Of an `a` in bfloat16, `b` is rounded to it, and the product too.
 */
export function quickMatMul(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  if (!isBfloat16(a)) return product(a, b, transposeA, transposeB, (left, right, transposed) => tf.matMul(left, right, false, transposed))
  return tf.tidy(() => timed(a, b, transposeB, () => bfloat16Product(a, toBfloat16(b), transposeA, transposeB)))
}

/**
 * As `quickMatMul`, for outputs that may be rounded like the factors: those of a linear, as the layers of a bfloat16 model round them
 * wherever it runs, and those that are summed up for a report. Sums over many tokens may not.
 */
export function linearMatMul(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  if (!roundsFactors()) return quickMatMul(a, b, transposeA, transposeB)
  return product(a, b, transposeA, transposeB, (left, right, transposed) =>
    left.rank === 2 ? toFloat32(bfloat16Product(toBfloat16(left), toBfloat16(right), false, transposed)) : exact(left, right, transposed),
  )
}

/** Inputs of linears, [tokens, columns], rounded as the run's precision has it: once for all linears that they go through. */
export interface LinearInput {
  readonly values: tf.Tensor2D
}

/** A linear's weight as products with it are fast, rounded as the run's precision has it: once for all inputs. */
export interface LinearMatrix {
  /** [columns, rows], or [rows, columns] as it is stored. */
  readonly values: tf.Tensor2D
  readonly isStored: boolean
}

/** x itself, or what is made of it and a tidy disposes of. */
export function linearInput(x: tf.Tensor2D): LinearInput {
  return { values: roundsFactors() ? toBfloat16(x) : x }
}

/**
 * The matrix of a weight [rows, columns]; the caller disposes of its `values`. Float32 products want it transposed, but the largest, a head,
 * stays as it is on TensorFlow and wasm: beside its transpose it would take as much memory again as all that is made of it.
 */
export function linearMatrix(weight: Float32Array, rows: number, columns: number, isLargest = false): LinearMatrix {
  return tf.tidy(() => {
    const stored = tf.tensor2d(weight, [rows, columns])
    if (roundsFactors()) return { values: toBfloat16(stored), isStored: true }
    if (!isLargest || tf.getBackend() === 'webgpu') return { values: tf.transpose(stored), isStored: false }
    // The array is let go of at the first operation: at once, lest it lies beside the first outputs.
    tf.slice(stored, [0, 0], [1, 1])
    return { values: stored, isStored: true }
  })
}

/**
 * As `linearMatMul`, x · weightᵀ: [tokens, rows]. `mayBeRounded`: in bfloat16 where that is what the product is, for a caller that goes on
 * with operations that take it.
 */
export function linearProduct(x: LinearInput, { values, isStored }: LinearMatrix, mayBeRounded = false): tf.Tensor2D {
  return tf.tidy(() => {
    const y = quickMatMul(x.values, values, false, isStored) as tf.Tensor2D
    return mayBeRounded ? y : toFloat32(y)
  })
}

/** Whether factors whose products may be rounded are rounded beforehand, by us and not by the backend. */
function roundsFactors(): boolean {
  return tf.getBackend() === 'tensorflow' && roundsOutputs()
}

type Multiply = (a: tf.Tensor, b: tf.Tensor, transposeB: boolean) => tf.Tensor

/** A backend's own product in float32. TensorFlow's batched kernel, which tf.matMul takes, goes by oneDNN's mode, its plain one does not. */
function exact(a: tf.Tensor, b: tf.Tensor, transposeB: boolean): tf.Tensor {
  if (tf.getBackend() !== 'tensorflow' || !roundsProducts()) return tf.matMul(a, b, false, transposeB)
  if (a.rank === 2) return tensorflowKernel('MatMul', { transpose_a: false, transpose_b: transposeB }, [a, b])
  return sliceBySlice(a, transposeB ? swapLast(b) : b, exact)
}

function product(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean, multiply: Multiply): tf.Tensor {
  return tf.tidy(() => {
    if (tf.getBackend() === 'wasm' && inPairs(a, b)) return timed(a, b, transposeB, () => wasmProduct(a, b, transposeA, transposeB))
    const left = transposeA ? swapLast(a) : a
    if (b.rank === 2 && left.rank > 2) return foldBatch(left, b, transposeB, multiply)
    return timed(left, b, transposeB, multiply)
  })
}

/** The backend's product, and how much it multiplied. */
function timed(a: tf.Tensor, b: tf.Tensor, transposeB: boolean, multiply: Multiply): tf.Tensor {
  return span('matmul', 'matMul', () => multiply(a, b, transposeB), 2 * a.size * b.shape[b.rank - (transposeB ? 2 : 1)])
}

/** The last two dimensions exchanged. */
function swapLast(x: tf.Tensor): tf.Tensor {
  const order = x.shape.map((_, i) => i)
  order.push(...order.splice(-2).reverse())
  return tf.transpose(x, order)
}

/** One matrix for the whole batch: the batch is just more rows. */
function foldBatch(a: tf.Tensor, b: tf.Tensor, transposeB: boolean, multiply: Multiply): tf.Tensor {
  const flat = tf.reshape(a, [-1, a.shape[a.rank - 1]])
  const found = product(flat, b, false, transposeB, multiply)
  return tf.reshape(found, [...a.shape.slice(0, -1), ...found.shape.slice(-1)])
}

/** Whether each matrix of a has its own of b. */
function inPairs(a: tf.Tensor, b: tf.Tensor): boolean {
  return a.rank === b.rank && a.shape.slice(0, -2).every((size, i) => size === b.shape[i])
}

/** A batched product as 2-D ones. Unstack and stack cost 6 % of the products at [9, 512, 64]; explicit slices cost twice that. */
function sliceBySlice(a: tf.Tensor, b: tf.Tensor, multiply: Multiply): tf.Tensor {
  const batch = a.shape.slice(0, -2)
  if (!inPairs(a, b)) return timed(a, b, false, (left, right) => tf.matMul(left, right))
  const lefts = tf.unstack(tf.reshape(a, [-1, ...a.shape.slice(-2)]))
  const rights = tf.unstack(tf.reshape(b, [-1, ...b.shape.slice(-2)]))
  const products = lefts.map((left, i) => timed(left, rights[i], false, multiply))
  return tf.reshape(tf.stack(products), [...batch, a.shape[a.rank - 2], b.shape[b.rank - 1]])
}
