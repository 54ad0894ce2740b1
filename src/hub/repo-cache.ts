import { randomUUID } from 'node:crypto'
import { copyFile, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { RunError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import type { RepoId } from './repo-id.ts'

const COMMIT = /^[0-9a-f]{40}$/

/**
 * One repository in the hub's cache, laid out as Python's huggingface_hub does (its guide "Understand caching"): blobs by etag,
 * snapshots/COMMIT with relative links to them, refs/REVISION with the commit that it stood for.
 */
export class RepoCache {
  readonly folder: string
  readonly locks: string

  constructor(cacheDir: string, { type, name }: RepoId) {
    const own = [`${type}s`, ...name.split('/')].join('--')
    this.folder = join(cacheDir, own)
    this.locks = join(cacheDir, '.locks', own)
  }

  /** Where a blob is or will be. Errors: RunError for an etag that is no file name. */
  blob(etag: string): string {
    if (/^[\w-][\w.-]{0,200}$/.test(etag)) return join(this.folder, 'blobs', etag)
    throw new RunError(`Cannot store a file of ${this.folder}: its etag is ${JSON.stringify(etag)}, expected a hash. Is HF_ENDPOINT a hub?`)
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit)
  }

  /** A file of a snapshot. Errors: RunError for a path that would leave it. */
  file(commit: string, path: string): string {
    const parts = path.split('/')
    if (parts.some((part) => /^\.{0,2}$/.test(part)) || /[\0\\:]/.test(path))
      throw new RunError(
        `Cannot store a file of ${this.folder}: it is called ${JSON.stringify(path)}, expected a path inside the repository.`,
      )
    return join(this.snapshot(commit), ...parts)
  }

  /** The commit that a revision stands for, as far as the cache knows; null where it does not. */
  async commitOf(revision: string): Promise<string | null> {
    if (COMMIT.test(revision)) return (await isThere(this.snapshot(revision))) ? revision : null
    const commit = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '')
    return COMMIT.test(commit.trim()) ? commit.trim() : null
  }

  /** Remembers what a branch or a tag stands for. */
  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return
    const ref = join(this.folder, 'refs', revision)
    await makeFolder(dirname(ref))
    // Written beside it and renamed: whoever reads it sees a whole commit.
    const draft = `${ref}.${randomUUID()}.new`
    await writeFile(draft, commit)
    await rename(draft, ref)
  }

  /** Puts a blob into a snapshot under its name. */
  async link(etag: string, commit: string, path: string): Promise<void> {
    const target = this.blob(etag)
    const pointer = this.file(commit, path)
    await makeFolder(dirname(pointer))
    const draft = `${pointer}.${randomUUID()}.new`
    // Where the file system has no links (Windows without the right to), huggingface_hub copies too.
    await symlink(relative(dirname(pointer), target), draft).catch(() => copyFile(target, draft))
    await rename(draft, pointer)
  }

  /** Paths of the files of a snapshot. Links that lead nowhere do not count. */
  async filesOf(commit: string): Promise<string[]> {
    const root = this.snapshot(commit)
    const entries = await readdir(root, { recursive: true }).catch(() => [])
    const found: string[] = []
    for (const entry of entries) if ((await stat(join(root, entry)).catch(() => null))?.isFile()) found.push(entry.replaceAll('\\', '/'))
    return found.sort()
  }
}

/** Whether a path leads to something. */
export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}
