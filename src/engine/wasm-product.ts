import type { Tensor, Tensor2D, TensorInfo } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { DenseProducts, type DenseShape } from '../kernels/dense.ts'
import { span } from '../util/span.ts'

/** What tfjs's wasm backend has beneath its tensors: their places in its memory. */
interface WasmBackend {
  makeOutput(shape: readonly number[], dtype: 'float32'): TensorInfo
  /** A view, until the memory grows. */
  typedArrayFromHeap(tensor: TensorInfo): Float32Array
}

let products: DenseProducts | null = null

/** Has products on the wasm backend taken in so many threads from now on. Errors: RunError where the kernels cannot be loaded. */
export async function openWasmProducts(threads: number): Promise<void> {
  if (products?.threads === threads && !products.isFailed) return
  const before = products
  products = await DenseProducts.open(threads)
  await before?.close()
}

/**
 * a·b of float32 tensors with equal leading dimensions on the wasm backend, matrix by matrix in the kernels' threads: 51 to 55 GFLOPS on one core
 * where XNNPACK, which uses no other, has 12 to 18. Transposed factors need no copy beforehand: that would take tfjs as long as a third of the
 * product. The same bytes for any number of threads. Runs within a tidy, which disposes of the output where the product fails. Errors:
 * RunError where a thread died or memory does not suffice.
 */
export function wasmProduct(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const [rows, depth] = sides(a, transposeA)
  const [inner, columns] = sides(b, transposeB)
  if (inner !== depth) {
    throw new RangeError(
      `Cannot multiply [${[rows, depth]}] by [${[inner, columns]}]: found ${inner} rows in the second, expected ${depth}`,
    )
  }
  const [out, left, right, found] = withOutput([...a.shape.slice(0, -2), rows, columns], [a, b])
  const factor = (values: Float32Array, x: Tensor, i: number, transposed: boolean) => {
    const [height, pitch] = sides(x, false)
    return { values: values.subarray(i * height * pitch, (i + 1) * height * pitch), pitch, from: 0, transposed }
  }
  for (let i = 0; i * rows * columns < found.length; i++) {
    const own = found.subarray(i * rows * columns, (i + 1) * rows * columns)
    opened().multiply(factor(left, a, i, transposeA), factor(right, b, i, transposeB), own, { rows, depth, columns })
  }
  return out
}

/**
 * Shows the bands of xᵀx of x [rows, columns] (`gramBands`) one by one: band i has rows from cuts[i] to cuts[i + 1] and columns from cuts[i]
 * on. Runs within a tidy. Errors: as `wasmProduct`.
 */
export function eachWasmBand(x: Tensor2D, cuts: readonly number[], visit: (make: () => Tensor2D) => void): void {
  const [depth, pitch] = x.shape
  for (const [i, from] of cuts.slice(0, -1).entries()) {
    const shape = { rows: cuts[i + 1] - from, depth, columns: pitch - from }
    const flops = 2 * shape.rows * depth * shape.columns
    visit(() => span('matmul', 'matMul', () => band(x, from, shape), flops))
  }
}

function band(x: Tensor2D, from: number, shape: DenseShape): Tensor2D {
  const [out, values, found] = withOutput([shape.rows, shape.columns], [x])
  const part = { values, pitch: x.shape[1], from }
  opened().multiply({ ...part, transposed: true }, { ...part, transposed: false }, found, shape)
  return out as Tensor2D
}

/** Rows and columns of the matrices of a tensor, or of their transposes. */
function sides(x: Tensor, transposed: boolean): number[] {
  const [rows, columns] = x.shape.slice(-2)
  return transposed ? [columns, rows] : [rows, columns]
}

function opened(): DenseProducts {
  if (!products) throw new RangeError('Cannot multiply on the wasm backend: its products are not open, expected openEngine() before')
  return products
}

/** A tensor to be filled, the values of those given, and its own. */
function withOutput(shape: readonly number[], given: readonly Tensor[]): [Tensor, ...Float32Array[]] {
  const backend = tf.backend() as unknown as WasmBackend
  const out = tf.engine().makeTensorFromTensorInfo(backend.makeOutput(shape, 'float32'))
  // Only now: making room for the output may have moved the memory.
  return [out, ...[...given, out].map((tensor) => backend.typedArrayFromHeap(tensor))]
}
