import type { CheckpointReader } from './reader.ts'

// Large enough that calls do not count, small enough that memory does not.
const CHUNK = 16 << 20

/** The bytes of a tensor in consecutive chunks of 16 MB, so that one of any size can be copied. Errors: as `CheckpointReader.read`. */
export async function* readChunks(reader: CheckpointReader, name: string): AsyncGenerator<Uint8Array> {
  const { begin, end } = reader.info(name)
  const size = end - begin
  for (let at = 0; at < size; at += CHUNK) yield await reader.readRange(name, at, Math.min(size, at + CHUNK))
}
