import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { Decompress } from 'fzstd'
import { DataError } from '../util/errors.ts'
import type { DataFile } from './data-file.ts'

/** The bytes of a file, decompressed, in pieces as they are asked for. Errors: DataError for a damaged archive. */
export async function* fileBytes({ path, compression }: DataFile): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path, { highWaterMark: 1 << 20 })
  try {
    if (compression === 'gzip') yield* gunzipped(stream, path)
    else if (compression === 'zstd') yield* unzstd(stream, path)
    else yield* stream
  } finally {
    stream.destroy()
  }
}

async function* gunzipped(stream: NodeJS.ReadableStream & { destroy(): void }, path: string): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: 1 << 18 })
  stream.on('error', (error) => gunzip.destroy(error))
  try {
    yield* stream.pipe(gunzip)
  } catch (error) {
    throw damaged(path, 'gzip', error)
  } finally {
    gunzip.destroy()
  }
}

/** By fzstd, because node:zlib has zstd from Node 22.15 on only. It checks no checksums: what is damaged shows as text that is none. */
async function* unzstd(stream: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = []
  const inflate = new Decompress((piece) => {
    ready.push(piece)
  })
  const push = (chunk: Uint8Array, final: boolean) => {
    try {
      inflate.push(chunk, final)
    } catch (error) {
      throw damaged(path, 'zstd', error)
    }
    const pieces = ready
    ready = []
    return pieces
  }
  for await (const chunk of stream) yield* push(chunk, false)
  yield* push(new Uint8Array(0), true)
}

function damaged(path: string, kind: string, error: unknown): DataError {
  return new DataError(`Cannot read data from ${path}: ${error instanceof Error ? error.message : error}, expected a whole ${kind} file`)
}
