import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { writeError } from '../checkpoint/write-error.ts'
import { RunError } from '../util/errors.ts'
import type { HiddenStates, StreamBatch } from './streams.ts'
import type { TensorStore } from './tensor-store.ts'

/** A file of hidden states: what it must be to be read back. */
export interface HiddenFile {
  readonly name: string
  readonly bytes: number
  readonly crc32: number
  /** Whether the originals' states follow those of the compressed model. */
  readonly originals: boolean
}

/** Writes hidden states as float32, batch after batch; they survive a crash once this has returned. `path` ends in `name`. */
export async function writeHidden(
  path: string,
  name: string,
  { compressed, originals }: HiddenStates,
  store: TensorStore,
): Promise<HiddenFile> {
  try {
    const handle = await open(path, 'w')
    try {
      let bytes = 0
      let sum = 0
      for (const tensor of [...compressed, ...(originals ?? [])]) {
        const values = await store.values(tensor)
        const part = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
        for (let done = 0; done < part.length; ) done += (await handle.write(part, done, part.length - done)).bytesWritten
        sum = crc32(part, sum)
        bytes += part.length
      }
      await handle.sync()
      return { name, bytes, crc32: sum, originals: originals !== null }
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw writeError(cause, path)
  }
}

/** Reads back what `writeHidden` wrote for batches of these rows, parked. Errors: RunError where the file is not the one described. */
export async function readHidden(
  path: string,
  file: HiddenFile,
  batches: readonly StreamBatch[],
  width: number,
  store: TensorStore,
): Promise<HiddenStates> {
  const streams: Tensor2D[][] = file.originals ? [[], []] : [[]]
  try {
    const handle = await open(path)
    try {
      let sum = 0
      for (const stream of streams) {
        for (const { ids } of batches) {
          const values = new Float32Array(ids.length * width)
          const part = new Uint8Array(values.buffer)
          for (let done = 0; done < part.length; ) {
            const { bytesRead } = await handle.read(part, done, part.length - done)
            if (bytesRead === 0)
              throw new RunError(`Cannot go on with ${path}: it ends early, expected ${file.bytes} bytes. Pass --restart to begin again.`)
            done += bytesRead
          }
          sum = crc32(part, sum)
          const tensor = tf.tensor2d(values, [ids.length, width])
          stream.push(tensor)
          await store.park([tensor])
        }
      }
      if (sum !== file.crc32)
        throw new RunError(`Cannot go on with ${path}: its bytes are not those that were written. Pass --restart to begin again.`)
    } finally {
      await handle.close()
    }
    const [compressed, originals = null] = streams
    return { compressed, originals }
  } catch (error) {
    tf.dispose(streams)
    throw error
  }
}
