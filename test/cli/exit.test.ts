import { CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import { exitCodeOf, messageOf } from '../../src/cli/exit.ts'
import { Interrupted } from '../../src/cli/interrupt.ts'
import { CheckpointError, DataError, RecipeError, RunError, UserError } from '../../src/util/errors.ts'

describe('exitCodeOf()', () => {
  test.each([
    [new UserError('a'), 2],
    [new CheckpointError('a'), 2],
    [new DataError('a'), 2],
    [new RecipeError('a'), 2],
    [new CommanderError(1, 'commander.unknownOption', 'a'), 2],
    [new CommanderError(0, 'commander.version', 'a'), 0],
    [new RunError('a'), 1],
    [new TypeError('a'), 1],
    ['a', 1],
    [new Interrupted('a'), 130],
  ])('%o is %d', (error, code) => expect(exitCodeOf(error)).toBe(code))
})

describe('messageOf()', () => {
  const plain = { debug: false }

  test('is the message alone for what was foreseen', () => {
    expect(messageOf(new UserError('Cannot read x.'), plain)).toBe('Cannot read x.')
    expect(messageOf(new RunError('Cannot go on.'), plain)).toBe('Cannot go on.')
    expect(messageOf(new Interrupted('Interrupted.'), plain)).toBe('Interrupted.')
  })

  test('calls what nobody foresaw a bug, and says how to report it', () => {
    expect(messageOf(new TypeError('x is undefined'), plain)).toMatch(
      /^Unexpected TypeError: x is undefined\nThis is a bug in llmpress\..*--debug/,
    )
  })

  test('does not call what the system refuses a bug', () => {
    const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' })
    expect(messageOf(error, plain)).toBe('The system refused: ENOSPC: no space left on device, write.')
  })

  test('has the stack and the causes under --debug', () => {
    const message = messageOf(new CheckpointError('outer', {}, { cause: new Error('inner') }), { debug: true })
    expect(message).toMatch(/outer\n\s+at /)
    expect(message).toMatch(/caused by Error: inner\n\s+at /)
  })

  test('leaves to commander what it has printed already', () => {
    expect(messageOf(new CommanderError(1, 'commander.unknownOption', 'a'), plain)).toBeNull()
  })
})
