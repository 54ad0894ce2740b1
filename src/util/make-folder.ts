import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder, and those above it that are not there; one that is there will do. Node's own `mkdir` with `recursive` never comes back
 * where a file system answers "no such file" below a folder that is there, as /proc does (seen in Node 20.20). Errors: the system's.
 */
export async function makeFolder(folder: string): Promise<void> {
  const path = resolve(folder)
  const parent = dirname(path)
  try {
    await makeOne(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error
    // Also where the folder above is there by now: somebody else may have made it since.
    await makeFolder(parent)
    await makeOne(path)
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    // Which error it is for a folder that is there depends on the file system: EROFS and EPERM, too.
    if (!(await isFolder(path))) throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
}
