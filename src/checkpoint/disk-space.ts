import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Bytes that an unprivileged process can still write where `dir` is, or would be: its nearest parent that exists counts. */
export async function availableBytes(dir: string): Promise<number> {
  let at = resolve(dir)
  for (;;) {
    try {
      const { bavail, bsize } = await statfs(at)
      return bavail * bsize
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === dirname(at)) throw error
      at = dirname(at)
    }
  }
}
