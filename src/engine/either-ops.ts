import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { type Bfloat16, bfloat16Kernel, bfloat16Settings, int32Setting, isBfloat16, toBfloat16 } from './bfloat16.ts'

/*
 * Operations on tensors of float32, on any backend, and on those in bfloat16 (`Bfloat16`), which they leave in bfloat16. Of two tensors the
 * first decides.
 */

/** As `tf.slice`. */
export function slice<T extends Tensor>(x: T, begin: number[], size: number[]): T {
  if (!isBfloat16(x)) return tf.slice(x, begin, size)
  return byKernel('Slice', [int32Setting('Index')], x, begin, size)
}

/** As `tf.split`, of parts of such sizes. */
export function split<T extends Tensor>(x: T, sizes: readonly number[], axis: number): T[] {
  if (!isBfloat16(x)) return tf.split<T>(x, [...sizes], axis)
  let from = 0
  return sizes.map((own) => {
    const [begin, size] = [x.shape.map(() => 0), [...x.shape]]
    begin[axis] = from
    size[axis] = own
    from += own
    return slice<T>(x, begin, size)
  })
}

/** As `tf.reshape`. */
export function reshape<R extends Tensor>(x: Tensor, shape: number[]): R {
  if (!isBfloat16(x)) return tf.reshape(x, shape) as R
  return byKernel('Reshape', [int32Setting('Tshape')], x, shape) as Tensor as R
}

/** As `tf.transpose`. */
export function transpose<T extends Tensor>(x: T, order: number[]): T {
  if (!isBfloat16(x)) return tf.transpose(x, order)
  return byKernel('Transpose', [int32Setting('Tperm')], x, order)
}

/** As `tf.concat`. */
export function concat<T extends Tensor>(parts: readonly T[], axis: number): T {
  if (!isBfloat16(parts[0])) return tf.concat([...parts], axis)
  return tf.tidy(() => {
    const settings = [...bfloat16Settings({ N: parts.length }), int32Setting('Tidx')]
    return bfloat16Kernel('ConcatV2', settings, [...parts.map(toBfloat16), tf.scalar(axis, 'int32')]) as Tensor as T
  })
}

/** As `tf.add`. */
export function add<T extends Tensor>(a: T, b: Tensor): T {
  if (!isBfloat16(a)) return tf.add(a, b)
  return tf.tidy(() => bfloat16Kernel('AddV2', bfloat16Settings(), [a, toBfloat16(b)]) as Tensor as T)
}

/** As `tf.mul`. */
export function multiply<T extends Tensor>(a: T, b: Tensor): T {
  if (!isBfloat16(a)) return tf.mul(a, b)
  return tf.tidy(() => bfloat16Kernel('Mul', bfloat16Settings(), [a, toBfloat16(b)]) as Tensor as T)
}

/** A kernel that moves elements, as lists of integers say. */
function byKernel<T extends Tensor>(
  kernel: string,
  settings: ReturnType<typeof bfloat16Settings>,
  x: Bfloat16<T>,
  ...lists: readonly number[][]
): T {
  return tf.tidy(() => {
    const places = lists.map((list) => tf.tensor1d(list, 'int32'))
    return bfloat16Kernel(kernel, [...bfloat16Settings(), ...settings], [x, ...places]) as Tensor as T
  })
}
