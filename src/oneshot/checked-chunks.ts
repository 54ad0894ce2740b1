import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import { DTYPE_BYTES } from '../numerics/dtype.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { decodeFloats } from '../numerics/float-dtype.ts'
import { CheckpointError } from '../util/errors.ts'

/**
 * Reads tensors that are to be copied, for what `checkedChunks` finds in them: one to three seconds for a gigabyte, where a run of hours would
 * come upon it at its end. Errors: as `checkedChunks`; the signal's reason.
 */
export async function requireCopyable(reader: TensorReader, names: Iterable<string>, signal: AbortSignal): Promise<void> {
  for (const name of names) {
    for await (const _ of checkedChunks(reader, name)) signal.throwIfAborted()
  }
}

/**
 * As `TensorReader.readChunks`, for tensors that are copied unseen: a model with a broken norm would otherwise come out of a run as if it
 * were sound. Errors: also CheckpointError naming the first element of a float tensor that is NaN or infinite.
 */
export async function* checkedChunks(reader: TensorReader, name: string): AsyncGenerator<Uint8Array> {
  const { dtype, file } = reader.info(name)
  let done = 0
  for await (const chunk of reader.readChunks(name)) {
    if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') {
      const size = DTYPE_BYTES[dtype]
      const at = firstNonFinite(chunk, dtype)
      if (at >= 0) {
        const [value] = decodeFloats(chunk.slice(at * size, (at + 1) * size), dtype)
        const message = `Cannot copy ${name}: found ${value} at element ${done / size + at}, expected finite numbers.`
        throw new CheckpointError(message, { file, tensor: name })
      }
    }
    done += chunk.length
    yield chunk
  }
}
