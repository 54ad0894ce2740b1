import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { readRows } from '../checkpoint/read-rows.ts'
import { type LinearInput, type LinearMatrix, linearInput, linearMatrix, linearProduct } from '../engine/mat-mul.ts'
import { assertFinite } from '../schemes/quantize.ts'
import type { LinearSpec, ParameterSpec, Parameters } from './architecture.ts'
import type { Batch } from './batches.ts'
import type { OpenModel } from './open-model.ts'

/** A linear ready to multiply: y = x · weightᵀ + bias. */
export interface LinearTensors {
  readonly matrix: LinearMatrix
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

/** Puts a weight [rows, columns] and a bias [rows] on the engine, ready for all batches. */
export function linearTensors(weight: Float32Array, bias: Float32Array | null, { rows, columns }: LinearSpec): LinearTensors {
  return { matrix: linearMatrix(weight, rows, columns), bias: bias ? tf.tensor1d(bias) : null }
}

/** The same for the largest, a head. */
export function headTensors(weight: Float32Array, bias: Float32Array | null, { rows, columns }: LinearSpec): LinearTensors {
  return { matrix: linearMatrix(weight, rows, columns, true), bias: bias ? tf.tensor1d(bias) : null }
}

/** Disposes of what linearTensors or headTensors made. */
export function disposeLinear({ matrix, bias }: LinearTensors): void {
  matrix.values.dispose()
  bias?.dispose()
}

/** x [tokens, columns] through linears: [tokens, rows] each. `mayBeRounded`: as `StageRequest` has it. */
export function applyLinears(x: Tensor2D, linears: readonly LinearTensors[], mayBeRounded = false): Tensor2D[] {
  return tf.tidy(() => {
    const input = linearInput(x)
    return linears.map((linear) => applyLinear(input, linear, mayBeRounded))
  })
}

/** The same for one linear, of inputs that others go through too. */
export function applyLinear(x: LinearInput, { matrix, bias }: LinearTensors, mayBeRounded = false): Tensor2D {
  return tf.tidy(() => {
    const y = linearProduct(x, matrix, mayBeRounded && !bias)
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
