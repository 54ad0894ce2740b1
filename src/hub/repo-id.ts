import { UserError } from '../util/errors.ts'

/** A repository of the hub at a revision. */
export interface RepoId {
  readonly type: 'model' | 'dataset'
  /** `org/name` */
  readonly name: string
  /** A branch, a tag or a commit. */
  readonly revision: string
}

const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/

/**
 * `org/name` or `org/name@revision` as a repository, null for a text that is none. Errors: UserError for a revision that would leave the
 * cache.
 */
export function parseRepoId(text: string, type: RepoId['type']): RepoId | null {
  const at = text.indexOf('@')
  const name = at < 0 ? text : text.slice(0, at)
  const revision = at < 0 ? 'main' : text.slice(at + 1)
  // Names as huggingface_hub's validate_repo_id has them: "--" would be taken for the cache's own separator.
  if (!NAME.test(name) || name.includes('--') || name.includes('..') || name.endsWith('.git')) return null
  if (revision === '' || revision.split(/[/\\]/).some((part) => /^\.{0,2}$/.test(part)) || /[\0\\:]/.test(revision))
    throw new UserError(`Cannot use "${text}": the revision is "${revision}", expected a branch, a tag or a commit after the @.`)
  return { type, name, revision }
}
