import type { StoredTensorInfo, TensorReader } from '../checkpoint/tensor-reader.ts'
import type { Range } from '../math/values.ts'
import { DTYPE_BYTES, type FloatDType } from '../numerics/dtype.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { decodeFloats } from '../numerics/float-dtype.ts'
import { bytesOf } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'

/** The range of no values at all. */
const NO_RANGE: Range = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY }

/**
 * The range of a tensor's values, or of a part of them with what came `before`; `start`: the index of the first. Errors: CheckpointError
 * naming file and tensor for a value that is not finite.
 */
export function finiteRange(
  values: Float32Array,
  { name, file }: Pick<StoredTensorInfo, 'name' | 'file'>,
  before = NO_RANGE,
  start = 0,
): Range {
  const broken = firstNonFinite(bytesOf(values), 'F32')
  if (broken >= 0) {
    const message = `Cannot quantize ${name} of ${file}: found ${values[broken]} at element ${start + broken}, expected finite numbers.`
    throw new CheckpointError(message, { file, tensor: name })
  }
  let { min, max } = before
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value < min) min = value
    if (value > max) max = value
  }
  return { min, max }
}

/** The type of a tensor of floats; that of one that stands for others is float32. */
export function floatDtypeOf({ dtype }: Pick<StoredTensorInfo, 'dtype'>): FloatDType {
  return dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32'
}

/** The values of a tensor in consecutive pieces of some megabytes. Errors: CheckpointError for a type that is not F32, F16 or BF16. */
export async function* floatChunks(reader: TensorReader, name: string): AsyncGenerator<Float32Array> {
  const { dtype, file } = reader.info(name)
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    const message = `Cannot quantize ${name} of ${file}: its type is ${dtype}, expected F32, F16 or BF16.`
    throw new CheckpointError(message, { file, tensor: name })
  }
  for await (const bytes of reader.readChunks(name)) if (bytes.length >= DTYPE_BYTES[dtype]) yield decodeFloats(bytes, dtype)
}

/** The range of a tensor, a piece in memory at a time. Errors: as `finiteRange` and `floatChunks`. */
export async function tensorRange(reader: TensorReader, name: string): Promise<Range> {
  const info = reader.info(name)
  let range = NO_RANGE
  let start = 0
  for await (const values of floatChunks(reader, name)) {
    range = finiteRange(values, info, range, start)
    start += values.length
  }
  return range
}
