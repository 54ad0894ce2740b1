import { HubApiError } from '@huggingface/hub'
import { RunError, UserError } from '../util/errors.ts'
import type { RepoId } from './repo-id.ts'
import type { HubSettings } from './settings.ts'

/** Whether the server could not be asked at all, so that the cache may answer instead. */
export function isUnreachable(error: unknown): boolean {
  // What Node's fetch throws when there is no connection, with the system's error as its cause.
  return error instanceof TypeError && error.message === 'fetch failed'
}

/** What went wrong with a repository, in words that help. Never contains the token or a signed address. */
export function hubError(error: unknown, { type, name, revision }: RepoId, { endpoint, token }: HubSettings): unknown {
  const subject = type === 'model' ? `${name}@${revision}` : `the dataset ${name}@${revision}`
  const action = `Cannot download ${subject} from ${endpoint}`
  if (error instanceof HubApiError) {
    const said = typeof error.data?.error === 'string' ? `: ${error.data.error}` : ''
    const who = token === null ? 'no HF_TOKEN is set' : 'HF_TOKEN has no right to it'
    switch (error.statusCode) {
      case 401:
        return new UserError(`${action}: there is no such repository, or it is private (${who}), expected one that can be read.`)
      case 403:
        return new UserError(`${action}: access is refused${said} (${who}), expected one whose terms were accepted on its page.`)
      case 404:
        return new UserError(`${action}: there is no such repository, revision or file${said}, expected org/name or org/name@revision.`)
      case 429:
        return new RunError(`${action}: the hub asks to wait (429)${said}, expected an answer. Try later, or set HF_TOKEN.`)
      default:
        return new RunError(`${action}: the hub answers with status ${error.statusCode}${said}, expected the file. Try later.`)
    }
  }
  if (isUnreachable(error)) {
    const { cause } = error as Error
    const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : 'no connection'
    return new UserError(`${action}: it cannot be reached (${why}), expected a connection, or the files in the cache.`)
  }
  // checkCredentials of the library.
  if (error instanceof TypeError && error.message.includes("start with 'hf_'"))
    return new UserError('Cannot use HF_TOKEN: found another text, expected a token of the hub, which starts with hf_.')
  return error
}
