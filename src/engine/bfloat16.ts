import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'

/** What tfjs-node's backend has beneath its tensors: TensorFlow's, by number, of any type. */
interface RawTensorflow {
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_BOOL: number
    readonly TF_ATTR_INT: number
    readonly TF_ATTR_STRING: number
    readonly TF_FLOAT: number
    readonly TF_INT32: number
    executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): Output[]
  }
  getInputTensorIds(tensors: readonly Tensor[]): number[]
  createOutputTensor(metadata: Output & { readonly dtype: number }): Tensor
}

interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | boolean | string
}

interface Output {
  readonly id: number
  readonly shape: number[]
}

/** TensorFlow's DT_BFLOAT16, which tfjs has no name for. */
const BFLOAT16 = 14

declare const bfloat16: unique symbol

/**
 * A tensor in bfloat16 on the TensorFlow backend. To tfjs it is one of float32, so that it counts it (its bytes double), clones it and disposes
 * of it, like any other; only functions that say so can compute with it (others end in an error of TensorFlow's), and nobody can read it.
 */
export type Bfloat16<T extends Tensor = Tensor> = T & { readonly [bfloat16]: true }

/** What is in bfloat16, by data id: a clone has that of the tensor. */
const marked = new WeakSet<object>()

/** Whether a tensor is in bfloat16. */
export function isBfloat16<T extends Tensor>(x: T): x is Bfloat16<T> {
  return marked.has(x.dataId)
}

/** x rounded to bfloat16; itself where it is. */
export function toBfloat16<T extends Tensor>(x: T): Bfloat16<T> {
  return isBfloat16(x) ? x : (bfloat16Kernel('Cast', cast(binding().TF_FLOAT, BFLOAT16), [x]) as Bfloat16<T>)
}

/** x in float32; itself where it is. */
export function toFloat32<T extends Tensor>(x: T): T {
  return isBfloat16(x) ? (run('Cast', cast(BFLOAT16, binding().TF_FLOAT), [x]) as T) : x
}

/** For whoever gives a tensor other values, in float32, under the same data id. */
export function becomesFloat32({ dataId }: Tensor): void {
  marked.delete(dataId)
}

/** What one of TensorFlow's kernels makes of tensors in bfloat16 and of int32 ones, in bfloat16. `settings` beside T. */
export function bfloat16Kernel(kernel: string, settings: Attribute[], inputs: readonly Tensor[]): Bfloat16 {
  const made = run(kernel, settings, inputs)
  marked.add(made.dataId)
  return made as Bfloat16
}

/** The attribute T, for kernels of bfloat16, and others by their names. Numbers are integers. */
export function bfloat16Settings(others: Readonly<Record<string, boolean | number | string>> = {}): Attribute[] {
  const { TF_ATTR_BOOL, TF_ATTR_INT, TF_ATTR_STRING } = binding()
  const types = { boolean: TF_ATTR_BOOL, number: TF_ATTR_INT, string: TF_ATTR_STRING }
  const named = Object.entries(others).map(([name, value]) => ({
    name,
    type: types[typeof value as keyof typeof types],
    value,
  }))
  return [typed('T', BFLOAT16), ...named]
}

/** An attribute that names the type of a kernel's int32 input. */
export function int32Setting(name: string): Attribute {
  return typed(name, binding().TF_INT32)
}

function backend(): RawTensorflow {
  return tf.backend() as unknown as RawTensorflow
}

function binding(): RawTensorflow['binding'] {
  return backend().binding
}

function typed(name: string, value: number): Attribute {
  return { name, type: binding().TF_ATTR_TYPE, value }
}

function cast(from: number, to: number): Attribute[] {
  return [typed('SrcT', from), typed('DstT', to), { name: 'Truncate', type: binding().TF_ATTR_BOOL, value: false }]
}

/** What a kernel makes, of float32 for tfjs whatever it is. */
function run(kernel: string, attributes: Attribute[], inputs: readonly Tensor[]): Tensor {
  const [{ id, shape }] = binding().executeOp(kernel, attributes, backend().getInputTensorIds(inputs), 1)
  return backend().createOutputTensor({ id, shape, dtype: binding().TF_FLOAT })
}
