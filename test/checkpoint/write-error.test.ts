import { describe, expect, it } from 'vitest'
import { writeError } from '../../src/checkpoint/write-error.ts'
import { RunError, UserError } from '../../src/util/errors.ts'

const failure = (code: string) => Object.assign(new Error(`${code}: something, write`), { code })

describe('writeError', () => {
  it('is a RunError for a full disk and a UserError for missing rights, naming the path', () => {
    expect(writeError(failure('ENOSPC'), 'out/a')).toBeInstanceOf(RunError)
    expect(writeError(failure('ENOSPC'), 'out/a').message).toBe(
      'Cannot write out/a: the disk is full; free some space or choose another output folder.',
    )
    expect(writeError(failure('EDQUOT'), 'out/a').message).toContain('quota')
    expect(writeError(failure('EACCES'), 'out/a')).toBeInstanceOf(UserError)
    expect(writeError(failure('EROFS'), 'out/a').message).toContain('read-only')
  })

  it('keeps the reason of anything else, and errors that already are the project’s own', () => {
    expect(writeError(failure('EIO'), 'out/a').message).toContain('EIO: something')
    const own = new UserError('own')
    expect(writeError(own, 'out/a')).toBe(own)
  })
})
