import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { downloadFile, fileDownloadInfo, HubApiError } from '@huggingface/hub'
import { availableBytes } from '../checkpoint/disk-space.ts'
import { type Lock, lockFile } from '../checkpoint/output-lock.ts'
import { RunError, UserError } from '../util/errors.ts'
import { formatBytes } from '../util/format-bytes.ts'
import { makeFolder } from '../util/make-folder.ts'
import { isThere, type RepoCache } from './repo-cache.ts'
import type { RepoId } from './repo-id.ts'
import type { Patience } from './retrying-fetch.ts'
import type { HubSettings } from './settings.ts'
import { isUnreachable, unreachableCode } from './unreachable.ts'

/** A file of a repository, as the hub lists it. */
export interface RepoFile {
  readonly path: string
  readonly size: number
  /** SHA-256 of the content for large files, git's SHA-1 for small ones: the name of the blob in the cache. */
  readonly etag: string
}

/** What a download needs to know. */
export interface BlobRequest {
  readonly repo: RepoId
  readonly commit: string
  readonly file: RepoFile
  readonly cache: RepoCache
  readonly settings: HubSettings
  /** As `hubFetch` makes it. */
  readonly fetch: typeof fetch
  readonly patience: Patience
}

/**
 * Downloads a file into the blobs of the cache, unless it is there. Bytes that an earlier attempt or a killed process left are kept and the
 * rest is asked for; two processes do not download the same file. The content must have the hash that the hub lists.
 * Errors: RunError for content that is not what was listed or a connection that keeps breaking; UserError for a disk that is too small;
 * what the library throws.
 */
export async function downloadBlob(request: BlobRequest): Promise<void> {
  const { cache, file } = request
  const blob = cache.blob(file.etag)
  if (await isThere(blob)) return
  await makeFolder(cache.locks)
  await makeFolder(dirname(blob))
  const lock = await waitForLock(join(cache.locks, `${file.etag}.llmpress.lock`), request)
  try {
    if (await isThere(blob)) return
    // Not the name that huggingface_hub uses: it knows nothing of our lock.
    const partial = `${blob}.llmpress.incomplete`
    await complete(partial, request)
    await rename(partial, blob)
  } finally {
    await lock.release()
  }
}

async function waitForLock(path: string, { settings: { signal }, repo, file }: BlobRequest): Promise<Lock> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await lockFile(path, `${repo.name}: ${file.path}`)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      await setTimeout(300, undefined, { signal })
    }
  }
}

/** Fills the partial file until it is whole and right. */
async function complete(partial: string, request: BlobRequest): Promise<void> {
  const { file, settings, patience } = request
  const there = (await stat(partial).catch(() => null))?.size ?? 0
  await requireSpace(dirname(partial), file.size - there, request)
  let restarted = false
  for (let attempt = 1; ; attempt++) {
    settings.signal.throwIfAborted()
    const before = (await stat(partial).catch(() => null))?.size ?? 0
    try {
      await append(partial, request)
    } catch (error) {
      if (settings.signal.aborted || error instanceof RunError || error instanceof HubApiError) throw error
      // As long as bytes arrive it is worth going on.
      const grown = ((await stat(partial).catch(() => null))?.size ?? 0) > before
      if (grown) attempt = 0
      if (attempt >= patience.attempts) throw broken(request, error)
      await setTimeout(patience.firstWait * 2 ** attempt, undefined, { signal: settings.signal })
      continue
    }
    if (await isRight(partial, file)) return
    await rm(partial, { force: true })
    // What an earlier process left may have been damaged; a fresh download that is wrong stays wrong.
    if (before === 0 || restarted) throw mismatch(request)
    restarted = true
  }
}

/** What the library needs to be told to find a file. */
export function fileParams({ repo, commit, file, settings, fetch }: Pick<BlobRequest, 'repo' | 'commit' | 'file' | 'settings' | 'fetch'>) {
  return {
    repo: { type: repo.type, name: repo.name },
    path: file.path,
    revision: commit,
    hubUrl: settings.endpoint,
    fetch,
    // Files by plain ranges, which one goes on with where they broke off; the hub serves all of them so.
    xet: false,
    ...(settings.token !== null && { accessToken: settings.token }),
  }
}

async function append(partial: string, { repo, commit, file, settings, fetch }: BlobRequest): Promise<void> {
  // The library's stream hands on what an error says, and not the error.
  let failed: unknown = null
  const keepsError: typeof fetch = (input, init) =>
    fetch(input, init).catch((error: unknown) => {
      failed = error
      throw error
    })
  const params = { ...fileParams({ repo, commit, file, settings, fetch }), fetch: keepsError }
  const handle = await open(partial, 'a')
  try {
    let { size: received } = await handle.stat()
    if (received >= file.size) return
    const info = await fileDownloadInfo(params)
    if (info === null) throw new RunError(`Cannot download ${repo.name}: ${file.path} is listed but not there, expected it at ${commit}.`)
    requireSame(info, repo, file)
    const blob = await downloadFile({ ...params, downloadInfo: info })
    if (blob === null) throw new RunError(`Cannot download ${repo.name}: ${file.path} is gone, expected it at ${commit}.`)
    for await (const chunk of blob.slice(received, file.size).stream()) {
      await handle.write(chunk)
      received += chunk.byteLength
      settings.onDownload({ file: `${repo.name}: ${file.path}`, received, total: file.size })
      settings.signal.throwIfAborted()
      // More than there is: the server does not know ranges, and the hash will say so.
      if (received > file.size) return
    }
    if (received < file.size) throw new Error(`it ended after ${received} of ${file.size} bytes`)
    await handle.sync()
  } catch (error) {
    throw failed ?? error
  } finally {
    await handle.close()
  }
}

/** Errors: RunError where the hub offers another file than it lists. Only hashes of one kind compare: stores behind the hub have others. */
function requireSame(offered: { etag: string; size: number }, repo: RepoId, { path, etag, size }: RepoFile): void {
  const found = offered.etag.replace(/^W\//, '').replaceAll('"', '')
  const comparable = /^[0-9a-f]+$/.test(found) && found.length === etag.length
  if (offered.size === size && (found === etag || !comparable)) return
  throw new RunError(
    `Cannot download ${repo.name}: ${path} is offered with the etag ${found} and ${offered.size} bytes, expected ${etag} and ${size} as listed. Is a proxy in between?`,
  )
}

/** Whether the content is what its etag says: SHA-256, or SHA-1 of git's blob object. Other etags tell the length only. */
async function isRight(path: string, { etag, size }: RepoFile): Promise<boolean> {
  if ((await stat(path)).size !== size) return false
  const hash = hashFor(etag, size)
  if (hash === null) return true
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex') === etag
}

function hashFor(etag: string, size: number): Hash | null {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash('sha256')
  return /^[0-9a-f]{40}$/.test(etag) ? createHash('sha1').update(`blob ${size}\0`) : null
}

async function requireSpace(folder: string, needed: number, { repo, file }: BlobRequest): Promise<void> {
  const available = await availableBytes(folder)
  if (available >= needed) return
  throw new UserError(
    `Cannot download ${repo.name}: ${file.path} needs ${formatBytes(needed)} and ${formatBytes(available)} are free in ${folder}, expected room for it. HF_HOME moves the cache.`,
  )
}

function broken({ repo, file }: BlobRequest, error: unknown): RunError {
  const why = isUnreachable(error) ? unreachableCode(error) : error instanceof Error ? error.message : String(error)
  return new RunError(
    `Cannot download ${repo.name}: ${file.path} broke off again and again (${why}), expected all of it. The same command goes on from there.`,
  )
}

function mismatch({ repo, file }: BlobRequest): RunError {
  return new RunError(
    `Cannot download ${repo.name}: the content of ${file.path} does not have the hash ${file.etag} that the hub lists, expected it unchanged.`,
  )
}
