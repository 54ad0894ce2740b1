import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clipStart, formatBytes, formatCount, formatPercent, formatSeconds, plural, shellWord } from '../../src/cli/format.ts'

describe('formatBytes()', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [8_393_216, '8.4 MB'],
    [5e9, '5.0 GB'],
    [2e15, '2000.0 TB'],
  ])('%d is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))
})

describe('formatSeconds()', () => {
  test.each([
    [0, '0.00 s'],
    [9.994, '9.99 s'],
    [9.995, '10.0 s'],
    [59.94, '59.9 s'],
    [59.96, '1 min 00 s'],
    [185, '3 min 05 s'],
    [3599.6, '1 h 00 min'],
    [7500, '2 h 05 min'],
  ])('%d is %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text))

  test('never counts 60 of anything', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (seconds) => !/(?<![.\d])60(\.0)? (s|min)/.test(formatSeconds(seconds))),
      { numRuns: 2000 },
    )
  })
})

describe('formatPercent()', () => {
  test.each([
    [0, '0 %'],
    [0.0071, '0.710 %'],
    [0.0335, '3.35 %'],
    [0.4437, '44.4 %'],
    [1.5, '150 %'],
    [-0.012, '-1.20 %'],
    [1.234e-7, '1.2e-5 %'],
  ])('%d is %s', (share, text) => expect(formatPercent(share)).toBe(text))

  test('keeps three significant digits', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-5, max: 1, noNaN: true }), (share) => {
        const read = Number.parseFloat(formatPercent(share)) / 100
        expect(Math.abs(read / share - 1)).toBeLessThanOrEqual(5.01e-3)
      }),
    )
  })
})

describe('formatCount(), plural(), clipStart()', () => {
  test('thousands are separated', () => expect(formatCount(24_480)).toBe('24,480'))
  test('one is singular', () =>
    expect([plural(1, 'layer'), plural(0, 'layer'), plural(1200, 'layer')]).toEqual(['1 layer', '0 layers', '1,200 layers']))
  test('the end of a long name stays', () => expect([clipStart('abcdef', 6), clipStart('abcdefg', 6)]).toEqual(['abcdef', '…cdefg']))
})

describe('shellWord()', () => {
  test('leaves paths alone and quotes the rest', () => {
    expect(shellWord('./out/a-b_c.d')).toBe('./out/a-b_c.d')
    expect(shellWord("it's here")).toBe("'it'\\''s here'")
    expect(shellWord('')).toBe("''")
  })
})
