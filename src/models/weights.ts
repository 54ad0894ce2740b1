import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { readRows } from '../checkpoint/read-rows.ts'
import { linearMatMul } from '../engine/mat-mul.ts'
import { assertFinite } from '../schemes/quantize.ts'
import type { LinearSpec, ParameterSpec, Parameters } from './architecture.ts'
import type { Batch } from './batches.ts'
import type { OpenModel } from './open-model.ts'

/** A linear ready to multiply: y = x · weightᵀ + bias. */
export interface LinearTensors {
  /** [columns, rows], or [rows, columns] as it is stored. */
  readonly matrix: Tensor2D
  readonly isStored: boolean
  readonly bias: Tensor1D | null
}

/** Loads norms and the like as float32 tensors by name; the caller disposes of them. */
export async function loadParameters({ reader }: OpenModel, specs: readonly ParameterSpec[]): Promise<Map<string, Tensor>> {
  const loaded = new Map<string, Tensor>()
  try {
    for (const { name, shape } of specs) {
      const values = await reader.readFloats(name)
      assertFinite(values, name, reader.info(name).file, 'compute with')
      loaded.set(name, tf.tensor(values, [...shape]))
    }
    return loaded
  } catch (error) {
    disposeParameters(loaded)
    throw error
  }
}

/** Disposes of what loadParameters made. */
export function disposeParameters(parameters: Parameters): void {
  tf.dispose([...parameters.values()])
}

/** The bias of a linear, or null. */
export async function loadBias({ reader }: OpenModel, { name, bias }: LinearSpec): Promise<Float32Array | null> {
  return bias ? reader.readFloats(`${name}.bias`) : null
}

/** Puts a weight [rows, columns] and a bias [rows] on the engine, transposed once for all batches. */
export function linearTensors(weight: Float32Array, bias: Float32Array | null, { rows, columns }: LinearSpec): LinearTensors {
  const matrix = tf.tidy(() => tf.transpose(tf.tensor2d(weight, [rows, columns])))
  return { matrix, isStored: false, bias: bias ? tf.tensor1d(bias) : null }
}

/**
 * The same for the largest, a head: on TensorFlow the weight stays as it is, since beside its transpose it would take as much memory again as all
 * that is made of it.
 */
export function headTensors(weight: Float32Array, bias: Float32Array | null, spec: LinearSpec): LinearTensors {
  if (tf.getBackend() !== 'tensorflow') return linearTensors(weight, bias, spec)
  const matrix = tf.tensor2d(weight, [spec.rows, spec.columns])
  // The array is let go of at the first operation: at once, lest it lies beside the first outputs.
  tf.slice(matrix, [0, 0], [1, 1]).dispose()
  return { matrix, isStored: true, bias: bias ? tf.tensor1d(bias) : null }
}

/** Disposes of what linearTensors or headTensors made. */
export function disposeLinear({ matrix, bias }: LinearTensors): void {
  matrix.dispose()
  bias?.dispose()
}

/** x [tokens, columns] through a linear: [tokens, rows]. */
export function applyLinear(x: Tensor2D, { matrix, isStored, bias }: LinearTensors): Tensor2D {
  return tf.tidy(() => {
    const y = linearMatMul(x, matrix, false, isStored) as Tensor2D
    return bias ? tf.add(y, bias) : y
  })
}

/**
 * The embedding's rows of the tokens, [tokens, embeddingWidth]. Only the rows that occur are read, so that a large vocabulary costs nothing.
 */
export async function embeddingRows({ model, reader }: OpenModel, ids: Int32Array): Promise<Tensor2D> {
  const name = `${model.embedding}.weight`
  const values = await readRows(reader, name, ids)
  assertFinite(values, name, reader.info(name).file, 'compute with')
  return tf.tensor2d(values, [ids.length, model.embeddingWidth])
}

/**
 * The hidden states that enter the first layer, a tensor a batch; the caller disposes of them. `park` sees each before the next is made.
 */
export async function embedBatches(
  source: OpenModel,
  batches: readonly Batch[],
  park: (hidden: Tensor2D) => Promise<void> = async () => {},
): Promise<Tensor2D[]> {
  const { model } = source
  const parameters = await loadParameters(source, model.embedParameters())
  const hidden: Tensor2D[] = []
  try {
    for (const { ids, shape } of batches) {
      const rows = await embeddingRows(source, ids)
      try {
        hidden.push(tf.tidy(() => model.embed(rows, shape, parameters)))
      } finally {
        rows.dispose()
      }
      await park(hidden[hidden.length - 1])
    }
    return hidden
  } catch (error) {
    tf.dispose(hidden)
    throw error
  } finally {
    disposeParameters(parameters)
  }
}
