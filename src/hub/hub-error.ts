import { HubApiError } from '@huggingface/hub'
import { RunError, UserError } from '../util/errors.ts'
import { seeGuide } from '../util/see-guide.ts'
import type { RepoId } from './repo-id.ts'
import type { HubSettings } from './settings.ts'
import { isUnreachable, unreachableCode } from './unreachable.ts'

/** What went wrong with a repository, in words that help. Never contains the token or a signed address. */
export function hubError(error: unknown, repo: RepoId, settings: HubSettings): unknown {
  const { type, name, revision } = repo
  const subject = type === 'model' ? `${name}@${revision}` : `the dataset ${name}@${revision}`
  const action = `Cannot download ${subject} from ${settings.endpoint}`
  if (error instanceof HubApiError) return refused(action, error, repo, settings)
  if (isUnreachable(error))
    return new RunError(
      `${action}: it cannot be reached (${unreachableCode(error)}), expected a connection, or the files in the cache.${seeGuide('hub')}`,
    )
  // checkCredentials of the library.
  if (error instanceof TypeError && error.message.includes("start with 'hf_'"))
    return new UserError('Cannot use HF_TOKEN: found another text, expected a token of the hub, which starts with hf_.')
  return error
}

/** By the hub's code for it, then by status; both as huggingface_hub's hf_raise_for_status reads them. */
function refused(action: string, { statusCode, data }: HubApiError, { type, name }: RepoId, { endpoint, token }: HubSettings): Error {
  const reason = typeof data?.error === 'string' ? data.error.replace(/[.:\s]+$/, '') : null
  const said = reason === null ? '' : `: ${reason}`
  const who = token === null ? 'no HF_TOKEN is set' : 'HF_TOKEN has no right to it'
  const page = `${endpoint}/${type === 'model' ? '' : 'datasets/'}${name}`
  if (data?.code === 'GatedRepo')
    return new UserError(
      `${action}: access to it must be asked for${said} (${who}), expected a token of an account that was let in. Ask on ${page}, then set HF_TOKEN.${seeGuide('hub')}`,
    )
  switch (statusCode) {
    case 401:
      return new UserError(
        `${action}: there is no such repository, or it is private${said} (${who}), expected one that can be read.${seeGuide('hub')}`,
      )
    case 403:
      return new UserError(
        `${action}: access is refused${said} (${who}), expected a right to read it. ${page} says whether to ask for it.${seeGuide('hub')}`,
      )
    case 404:
      return new UserError(`${action}: there is no such repository, revision or file${said}, expected org/name or org/name@revision.`)
    case 429:
      return new RunError(`${action}: the hub asks to wait (429)${said}, expected an answer. Try later, or set HF_TOKEN.${seeGuide('hub')}`)
    default:
      return new RunError(`${action}: the hub answers with status ${statusCode}${said}, expected the file. Try later.`)
  }
}
