import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { diffLines } from '../../src/report/diff.ts'

describe('diffLines()', () => {
  test('shows what was taken away before what was added', () => {
    expect(diffLines('a\nb\nc\n', 'a\nx\nc\n').map(({ sign, text }) => sign + text)).toEqual([' a', '-b', '+x', ' c'])
  })

  test('what is kept and taken away is the first text, what is kept and added the second', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(text, text, (before, after) => {
        const diff = diffLines(before.join('\n'), after.join('\n'))
        const side = (...signs: string[]) => diff.flatMap(({ sign, text }) => (signs.includes(sign) ? [text] : [])).join('\n')
        const ended = (lines: string[]) => lines.join('\n').replace(/\n$/, '')
        expect(side(' ', '-')).toBe(ended(before))
        expect(side(' ', '+')).toBe(ended(after))
      }),
    )
  })
})
