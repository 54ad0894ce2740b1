import { readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { STAGING } from './staging.ts'

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

/** What `stat` counts blocks in. */
const BLOCK = 512

/**
 * Bytes for a checkpoint in `output`: those that are available, and those that a stopped run's files hold there, which are gone on with or
 * removed. Of a file with holes what is on the disk counts.
 */
export async function bytesForOutput(output: string): Promise<number> {
  const staging = join(output, STAGING)
  let held = 0
  for (const name of await readdir(staging).catch(() => [])) {
    const file = await stat(join(staging, name)).catch(() => null)
    held += file?.isFile() ? file.blocks * BLOCK : 0
  }
  return held + (await availableBytes(output))
}
