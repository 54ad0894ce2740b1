import { UserError } from '../util/errors.ts'
import { parseRepoId, type RepoId } from './repo-id.ts'
import type { HubSettings } from './settings.ts'

/** Checks, before anything is computed, that a result can be pushed there. Errors: UserError for a name that is none or without a token. */
export function requirePushable(name: string, { token, localFilesOnly }: HubSettings): RepoId {
  const repo = parseRepoId(name, 'model')
  if (!repo) throw new UserError(`Cannot push to "${name}": it is no repository of the hub, expected org/name or org/name@branch.`)
  if (localFilesOnly) throw new UserError(`Cannot push to ${name}: only local files are allowed, expected it without --local-files-only.`)
  if (token === null) throw new UserError(`Cannot push to ${name}: found no HF_TOKEN and no login, expected a token that may write there.`)
  return repo
}
