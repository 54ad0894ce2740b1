import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { writeError } from './write-error.ts'

/** Writes a file so that it survives a crash once this has returned; its folder is to be synced by the caller. */
export async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  try {
    const handle = await open(path, 'w')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw writeError(cause, path)
  }
}

/** Makes renames in a folder durable. Windows cannot open folders and needs none of this. */
export async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(dir)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Puts a file in the place of another at once: whoever reads it, also after a crash, sees the old one or the new one whole. Where that fails
 * the old one stays and nothing lies beside it.
 */
export async function replaceDurably(path: string, content: Uint8Array | string): Promise<void> {
  const draft = `${path}.new`
  try {
    await writeDurably(draft, content)
    await rename(draft, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {})
    throw writeError(cause, path)
  }
}
