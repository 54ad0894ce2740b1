import { DTYPE_BYTES } from '../numerics/dtype.ts'
import { decodeFloats } from '../numerics/float-dtype.ts'
import { CheckpointError } from '../util/errors.ts'
import type { TensorReader } from './tensor-reader.ts'

/**
 * The given rows of a stored float matrix [rows, columns] as float32, [ids.length, columns]. Each row that occurs is read once, neighbours
 * in one read, so that a large embedding is never in memory whole. Errors: CheckpointError for an id outside the matrix or a type that
 * is not a float.
 */
export async function readRows(reader: TensorReader, name: string, ids: Int32Array): Promise<Float32Array> {
  const { dtype, shape, file } = reader.info(name)
  if (shape.length !== 2 || (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16')) {
    throw new CheckpointError(`Cannot read rows of ${name}: found ${dtype} [${shape}], expected a matrix of F32, F16 or BF16.`, {
      file,
      tensor: name,
    })
  }
  const [rows, columns] = shape
  const rowBytes = columns * DTYPE_BYTES[dtype]
  const wanted = [...new Set(ids)].sort((a, b) => a - b)
  if (wanted.length && (wanted[0] < 0 || wanted[wanted.length - 1] >= rows)) {
    throw new CheckpointError(`Cannot read row ${wanted[wanted.length - 1]} of ${name}: expected 0 to ${rows - 1}.`, { file, tensor: name })
  }
  const found = new Map<number, Float32Array>()
  for (let start = 0; start < wanted.length; ) {
    let end = start + 1
    while (end < wanted.length && wanted[end] === wanted[end - 1] + 1) end++
    const bytes = await reader.readRange(name, wanted[start] * rowBytes, (wanted[end - 1] + 1) * rowBytes)
    const values = decodeFloats(bytes, dtype)
    for (let i = start; i < end; i++) found.set(wanted[i], values.subarray((i - start) * columns, (i - start + 1) * columns))
    start = end
  }
  const out = new Float32Array(ids.length * columns)
  ids.forEach((id, at) => {
    const row = found.get(id)
    if (row) out.set(row, at * columns)
  })
  return out
}
