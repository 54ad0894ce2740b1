import { datasetInfo, listFiles, modelInfo } from '@huggingface/hub'
import { type ByteSource, openLocal } from '../checkpoint/byte-source.ts'
import { UserError } from '../util/errors.ts'
import { seeGuide } from '../util/see-guide.ts'
import { type BlobRequest, downloadBlob, type RepoFile } from './download-blob.ts'
import { hubError } from './hub-error.ts'
import { hubFetch } from './hub-fetch.ts'
import { openRanges } from './ranged-file.ts'
import { isThere, RepoCache } from './repo-cache.ts'
import type { RepoId } from './repo-id.ts'
import { PATIENCE, type Patience } from './retrying-fetch.ts'
import type { HubSettings } from './settings.ts'
import { isUnreachable } from './unreachable.ts'

/** A repository at one commit, on the hub or in the cache. */
export interface HubRepo {
  readonly repo: RepoId
  readonly commit: string
  /** The folder of its files in the cache; holds those that were asked for, now or before. */
  readonly folder: string
  /** Paths of the files that can be asked for. */
  readonly files: readonly string[]
  /** What is out of the ordinary. */
  readonly warnings: readonly string[]
  /** The local path of a file, downloaded first where it is not in the cache. Errors: UserError and RunError as `downloadBlob`. */
  fetch(path: string): Promise<string>
  /** A file to be read by position: from the cache where it is there, else from the hub, range by range. Errors: as `fetch`. */
  open(path: string): Promise<ByteSource>
}

/**
 * Asks the hub what a repository holds; the cache alone where nothing else is allowed, or where the hub cannot be reached and the cache
 * knows the revision. Errors: UserError for a repository that is not there or not readable; RunError where the hub fails.
 */
export async function openRepo(repo: RepoId, settings: HubSettings, patience: Patience = PATIENCE): Promise<HubRepo> {
  const cache = new RepoCache(settings.cacheDir, repo)
  if (settings.localFilesOnly) return cachedRepo(repo, cache, 'only local files are allowed')
  const fetch = hubFetch(settings, patience)
  try {
    const { commit, files } = await listRepo(repo, settings, fetch)
    await cache.remember(repo.revision, commit)
    return remoteRepo({ repo, commit, files, cache, settings, fetch, patience })
  } catch (error) {
    settings.signal.throwIfAborted()
    if (!isUnreachable(error) || (await cache.commitOf(repo.revision)) === null) throw hubError(error, repo, settings)
    const known = await cachedRepo(repo, cache, 'the hub cannot be reached')
    return { ...known, warnings: [`${settings.endpoint} cannot be reached: ${repo.name}@${repo.revision} is taken as it is in the cache`] }
  }
}

async function cachedRepo(repo: RepoId, cache: RepoCache, why: string): Promise<HubRepo> {
  const commit = await cache.commitOf(repo.revision)
  if (commit === null)
    throw new UserError(
      `Cannot find ${repo.name}@${repo.revision} in the cache (${cache.folder}): ${why}, expected it there. Download it first.${seeGuide('hub')}`,
    )
  const find = async (path: string) => {
    const file = cache.file(commit, path)
    if (await isThere(file)) return file
    throw new UserError(`Cannot find ${path} of ${repo.name}@${repo.revision} in the cache (${cache.folder}): ${why}, expected it there.`)
  }
  return {
    repo,
    commit,
    folder: cache.snapshot(commit),
    files: await cache.filesOf(commit),
    warnings: [],
    fetch: find,
    open: async (path) => openCached(await find(path)),
  }
}

async function openCached(path: string): Promise<ByteSource> {
  const source = await openLocal(path)
  if (source) return source
  throw new UserError(`Cannot read ${path}: it is not a file, expected one of the hub's cache.`)
}

async function listRepo(
  repo: RepoId,
  settings: HubSettings,
  fetch: typeof globalThis.fetch,
): Promise<{ commit: string; files: RepoFile[] }> {
  const common = {
    revision: repo.revision,
    hubUrl: settings.endpoint,
    fetch,
    ...(settings.token !== null && { accessToken: settings.token }),
  }
  const named = { ...common, name: repo.name, additionalFields: ['sha' as const] }
  const { sha: commit } = repo.type === 'model' ? await modelInfo(named) : await datasetInfo(named)
  const files: RepoFile[] = []
  for await (const entry of listFiles({ ...common, repo: { type: repo.type, name: repo.name }, revision: commit, recursive: true })) {
    const etag = entry.lfs?.oid ?? entry.oid
    if (entry.type === 'file' && etag !== undefined) files.push({ path: entry.path, size: entry.size, etag })
  }
  return { commit, files }
}

function remoteRepo({ files, ...rest }: Omit<BlobRequest, 'file'> & { files: readonly RepoFile[] }): HubRepo {
  const { repo, commit, cache, settings } = rest
  const find = (path: string): RepoFile => {
    const file = files.find((entry) => entry.path === path)
    if (file) return file
    throw new UserError(`Cannot find ${path} in ${repo.name}@${repo.revision}: there is no such file on the hub, expected it.`)
  }
  return {
    repo,
    commit,
    folder: cache.snapshot(commit),
    files: files.map(({ path }) => path),
    warnings: [],
    async fetch(path) {
      const file = find(path)
      const pointer = cache.file(commit, path)
      if (await isThere(pointer)) return pointer
      try {
        await downloadBlob({ ...rest, file })
      } catch (error) {
        throw hubError(error, repo, settings)
      }
      await cache.link(file.etag, commit, path)
      return pointer
    },
    async open(path) {
      const file = find(path)
      const pointer = cache.file(commit, path)
      return (await isThere(pointer)) ? openCached(pointer) : openRanges({ ...rest, file })
    },
  }
}
