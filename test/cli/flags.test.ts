import { InvalidArgumentError } from 'commander'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memorySize, wholeNumber } from '../../src/cli/flags.ts'

describe('wholeNumber()', () => {
  test('reads every whole number within its bounds', () => {
    fc.assert(fc.property(fc.nat(), (n) => wholeNumber(0)(String(n)) === n))
  })

  test.each(['', ' ', '-1', '+1', '1.5', '1e3', '0x10', '7 ', 'seven', 'NaN', 'Infinity', '9007199254740993'])('refuses %j', (text) => {
    expect(() => wholeNumber(0)(text)).toThrow(InvalidArgumentError)
  })

  test('says the bounds', () => {
    expect(() => wholeNumber(1)('0')).toThrow('Expected a whole number of at least 1.')
    expect(() => wholeNumber(1, 8)('9')).toThrow('Expected a whole number from 1 to 8.')
  })
})

describe('memorySize()', () => {
  test('reads a size in bytes', () => {
    expect(memorySize('1.5GB')).toBe(1.5e9)
  })

  test.each(['', '4 apples', '0GB'])('refuses %j', (text) => {
    expect(() => memorySize(text)).toThrow(InvalidArgumentError)
    expect(() => memorySize(text)).toThrow("Expected a size such as '4GB', or a number of bytes.")
  })
})
