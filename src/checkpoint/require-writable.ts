import { lstat, mkdtemp, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { UserError } from '../util/errors.ts'
import { writeError } from './write-error.ts'

/**
 * Checks before any compute that a file, or files in a folder, can be written later: the folder that they go into, or the nearest one above
 * it that is there, takes something new. A folder is made there and removed at once, since rights alone tell nothing of /proc or of a
 * read-only disk. Errors: UserError naming what stands in the way; RunError for a disk that is full.
 */
export async function requireWritable(path: string, kind: 'file' | 'folder'): Promise<void> {
  const there = await nearestThere(path)
  const isItself = there === resolve(path)
  const isFolder = (await stat(there)).isDirectory()
  if (isItself && kind === 'file' && isFolder)
    throw new UserError(`Cannot write ${path}: it is a folder, expected a file or nothing there.`)
  if (!isFolder && (!isItself || kind === 'folder')) throw new UserError(`Cannot write ${path}: ${there} is a file, expected a folder.`)
  const folder = isFolder ? there : dirname(there)
  try {
    await rmdir(await mkdtemp(join(folder, '.llmpress-try-')))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw writeError(cause, path)
    throw new UserError(`Cannot write ${path}: ${folder} takes no files, choose another output folder.`, { cause })
  }
}

/** A path itself, or the nearest one above it, that is there. Errors: UserError for a link to nothing; the system's. */
async function nearestThere(path: string): Promise<string> {
  for (let at = resolve(path); ; at = dirname(at)) {
    if ((await stat(at).catch(absent)) !== undefined) return at
    const link = await lstat(at).catch(absent)
    if (link?.isSymbolicLink()) throw new UserError(`Cannot write ${path}: ${at} is a link to nothing, expected a folder.`)
  }
}

/** What is below a file is not there either: the file is found on the way up. */
function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}
