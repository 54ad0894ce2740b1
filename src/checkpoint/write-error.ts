import { match } from 'ts-pattern'
import { RunError, UserError } from '../util/errors.ts'

/** What a failed file system call means to the user: UserError where rights are missing, RunError where the disk is full or failed. */
export function writeError(cause: unknown, path: string): Error {
  if (cause instanceof UserError || cause instanceof RunError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  const cannot = `Cannot write ${path}:`
  return match(code)
    .with('ENOSPC', () => new RunError(`${cannot} the disk is full; free some space or choose another output folder.`, { cause }))
    .with('EDQUOT', () => new RunError(`${cannot} the disk quota is used up; free some space or choose another output folder.`, { cause }))
    .with('ENOENT', () => new RunError(`${cannot} its folder is not there; it was removed meanwhile.`, { cause }))
    .with('EACCES', 'EPERM', () => new UserError(`${cannot} permission denied; choose an output folder that you may write to.`, { cause }))
    .with('EROFS', () => new UserError(`${cannot} the file system is read-only; choose another output folder.`, { cause }))
    .with('ENOTDIR', 'EEXIST', () => new UserError(`${cannot} a part of the path is a file, expected folders.`, { cause }))
    .otherwise(() => new RunError(`${cannot} ${message}.`, { cause }))
}
