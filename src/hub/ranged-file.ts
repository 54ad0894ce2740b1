import { downloadFile } from '@huggingface/hub'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import { RunError } from '../util/errors.ts'
import { type BlobRequest, fileParams } from './download-blob.ts'
import { hubError } from './hub-error.ts'

/** What is asked for at least: a header is mostly within it, so that one request reads it. */
const AT_LEAST = 1 << 20

/** A file of a repository that is read where it is, range by range. Errors: as `HubRepo.fetch`. */
export async function openRanges(request: BlobRequest): Promise<ByteSource> {
  const { repo, file, settings } = request
  const params = fileParams(request)
  const asked = async <T>(work: () => Promise<T>): Promise<T> => {
    settings.signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      settings.signal.throwIfAborted()
      throw hubError(error, repo, settings)
    }
  }
  const blob = await asked(() => downloadFile(params))
  if (blob === null || blob.size !== file.size) {
    const found = blob === null ? 'it is gone' : `it has ${blob.size} bytes`
    throw new RunError(`Cannot read ${file.path} of ${repo.name}: ${found}, expected ${file.size} bytes as the hub lists.`)
  }
  let start = 0
  let held = new Uint8Array()
  return {
    size: file.size,
    async read(into, position) {
      const end = Math.min(file.size, position + into.length)
      if (end <= position) return 0
      if (position < start || end > start + held.length) {
        const slice = blob.slice(position, Math.min(file.size, Math.max(end, position + AT_LEAST)))
        held = new Uint8Array(await asked(() => slice.arrayBuffer()))
        start = position
        // A server that knows no ranges gives all there is.
        if (held.length !== slice.size)
          throw new RunError(
            `Cannot read ${file.path} of ${repo.name}: ${held.length} bytes came, expected ${slice.size}. Is a proxy in between?`,
          )
      }
      into.set(held.subarray(position - start, end - start))
      return end - position
    },
    async close() {},
  }
}
