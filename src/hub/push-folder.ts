import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { commitIter, createRepo, HubApiError, modelInfo } from '@huggingface/hub'
import { RunError, UserError } from '../util/errors.ts'
import { hubFetch } from './hub-fetch.ts'
import type { RepoId } from './repo-id.ts'
import { PATIENCE, type Patience } from './retrying-fetch.ts'
import type { HubSettings } from './settings.ts'
import { isUnreachable } from './unreachable.ts'

/** How far an upload has come. */
export interface UploadProgress {
  /** The file under way; empty when all are there. */
  file: string
  /** Bytes of all files. */
  sent: number
  total: number
}

/** Where an upload ended up. */
export interface PushedRepo {
  repo: string
  url: string
  commit: string
}

/** What is uploaded, and where to. */
export interface PushRequest {
  readonly repo: RepoId
  readonly folder: string
  /** Paths in the folder. */
  readonly files: readonly string[]
  /** Of the commit. */
  readonly title: string
  /** Whether only its owners may see the repository. One that is made without is as the owner's settings say. */
  readonly isPrivate: boolean
}

/**
 * Uploads files of a folder as one commit to a model repository, which is made where it is missing.
 * Errors: UserError where the hub refuses the token, or where others can see a repository that is to be private; RunError for what else
 * goes wrong; the folder stays in any case.
 */
export async function pushFolder(
  { repo, folder, files, title, isPrivate }: PushRequest,
  settings: HubSettings,
  onUpload: (progress: UploadProgress) => void = () => {},
  patience: Patience = PATIENCE,
): Promise<PushedRepo> {
  const { endpoint, token, signal } = settings
  const access = { hubUrl: endpoint, fetch: hubFetch(settings, patience), accessToken: token ?? '' }
  const common = { ...access, repo: { type: repo.type, name: repo.name } }
  const sizes = new Map<string, number>()
  for (const file of files) sizes.set(file, (await stat(join(folder, file))).size)
  try {
    const made = await createRepo({ ...common, ...(isPrivate && { visibility: 'private' }) }).catch(alreadyThere)
    if (isPrivate && !made) await requirePrivate(repo, access)
    const commit = commitIter({
      ...common,
      branch: repo.revision,
      title,
      operations: files.map((file) => ({ operation: 'addOrUpdate', path: file, content: pathToFileURL(join(folder, file)) })),
      abortSignal: signal,
      // Large files by the LFS protocol, which every hub takes.
      useXet: false,
    })
    const sent = new Map<string, number>()
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    for (;;) {
      const { done, value } = await commit.next()
      if (done) {
        if (!value) throw new RunError(`Cannot push to ${repo.name}: the hub made no commit, expected one.`)
        // Small files travel with the commit itself.
        onUpload({ file: '', sent: total, total })
        return { repo: repo.name, url: `${endpoint}/${repo.name}`, commit: value.commit.oid }
      }
      if (value.event !== 'fileProgress' || value.state !== 'uploading') continue
      sent.set(value.path, value.progress * (sizes.get(value.path) ?? 0))
      onUpload({ file: value.path, sent: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0), total })
    }
  } catch (error) {
    throw pushError(signal.aborted ? null : error, repo, folder, endpoint)
  }
}

/** 409: the repository is there, which is as well. */
function alreadyThere(error: unknown): null {
  if (error instanceof HubApiError && error.statusCode === 409) return null
  throw error
}

async function requirePrivate({ name }: RepoId, access: { hubUrl: string; fetch: typeof fetch; accessToken: string }): Promise<void> {
  const { private: isPrivate } = await modelInfo({ ...access, name })
  if (isPrivate) return
  throw new UserError(
    `Cannot push to ${name} in private: the repository is there already and everyone can see it, expected a private one or a new name. Nothing was uploaded.`,
  )
}

/** `error`: null where the caller stopped the upload. */
function pushError(error: unknown, { name }: RepoId, folder: string, endpoint: string): unknown {
  const action = `Cannot push to ${name} on ${endpoint}`
  const stays = `The checkpoint is whole in ${folder}; \`hf upload ${name} ${folder}\` pushes it.`
  if (error === null) return new RunError(`${action}: it was stopped, expected to be let finish. ${stays}`)
  if (error instanceof HubApiError) {
    const said = typeof error.data?.error === 'string' ? ` (${error.data.error})` : ''
    if (error.statusCode === 401 || error.statusCode === 403)
      return new UserError(`${action}: the token is refused${said}, expected one that may write there. ${stays}`)
    return new RunError(`${action}: the hub answers with status ${error.statusCode}${said}, expected a commit. ${stays}`)
  }
  if (isUnreachable(error)) return new RunError(`${action}: it cannot be reached, expected a connection. ${stays}`)
  return error
}
