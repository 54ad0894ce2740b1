import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { DenseProducts } from '../kernels/dense.ts'

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
 * a·b of float32 tensors with equal leading dimensions on the wasm backend, `b` as its transpose if `transposed`, matrix by matrix in the
 * kernels' threads: 51 to 55 GFLOPS on one core where XNNPACK, which uses no other, has 12 to 18. The same bytes for any number of threads. Runs within a
 * tidy, which disposes of the output where the product fails. Errors: RunError where a thread died or memory does not suffice.
 */
export function wasmProduct(a: Tensor, b: Tensor, transposed: boolean): Tensor {
  if (!products) throw new RangeError('Cannot multiply on the wasm backend: its products are not open, expected openEngine() before')
  const backend = tf.backend() as unknown as WasmBackend
  const [rows, depth] = a.shape.slice(-2)
  const [inner, columns] = transposed ? b.shape.slice(-2).reverse() : b.shape.slice(-2)
  if (inner !== depth) throw new RangeError(`Cannot multiply [${a.shape}] by [${b.shape}]: expected ${depth} rows, found ${inner}`)
  const out = tf.engine().makeTensorFromTensorInfo(backend.makeOutput([...a.shape.slice(0, -1), columns], 'float32'))
  // Only now: making room for the output may have moved the memory.
  const [left, right, found] = [a, b, out].map((tensor) => backend.typedArrayFromHeap(tensor))
  const shape = { rows, depth, columns, transposed }
  for (let i = 0; i * rows * columns < found.length; i++) {
    products.multiply(part(left, i, rows * depth), part(right, i, depth * columns), part(found, i, rows * columns), shape)
  }
  return out
}

/** The i-th matrix of many. */
function part(values: Float32Array, i: number, size: number): Float32Array {
  return values.subarray(i * size, (i + 1) * size)
}
