import type { Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** A file that is read by position: on this machine, or elsewhere. */
export interface ByteSource {
  readonly size: number
  /** Reads up to `into.length` bytes from `position` on; gives their number, 0 at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** False once its size or time of change is no longer that of when it was opened; absent where that is not known. */
  isUnchanged?(): Promise<boolean>
  close(): Promise<void>
}

/** The safetensors files of a checkpoint that lie elsewhere than in its folder. */
export interface RemoteWeights {
  readonly names: readonly string[]
  open(name: string): Promise<ByteSource>
}

/** The most that one read call asks for; the system's own limit is 2^31 - 1. */
const READ_AT_ONCE = 2 ** 30

/** A file of this machine; null where the path leads to something else. Errors: those of the system. */
export async function openLocal(path: string): Promise<ByteSource | null> {
  const handle = await open(path)
  const stats = await handle.stat()
  if (stats.isFile()) return localSource(handle, stats)
  await handle.close()
  return null
}

function localSource(handle: FileHandle, { size, mtimeMs }: Stats): ByteSource {
  return {
    size,
    async read(into, position) {
      const { bytesRead } = await handle.read(into, 0, Math.min(into.length, READ_AT_ONCE), position)
      return bytesRead
    },
    // By the handle: a folder may be moved, and a file replaced, without touching what is being read.
    async isUnchanged() {
      const now = await handle.stat()
      return now.size === size && now.mtimeMs === mtimeMs
    },
    close: () => handle.close(),
  }
}
