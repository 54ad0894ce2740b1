import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { numberLiterals, stringifyWith } from '../../src/checkpoint/json-text.ts'

describe('numberLiterals', () => {
  test('finds the numbers that JavaScript writes otherwise, by path', () => {
    const text = '{"cap": 30.0, "eps": 1e-05, "n": 3, "rope": {"factors": [1.0, 2, 3.50]}, "s": "4.0", "e\\"s": -1.0}'
    expect(Object.fromEntries(numberLiterals(text))).toEqual({
      cap: '30.0',
      eps: '1e-05',
      'rope/factors/0': '1.0',
      'rope/factors/2': '3.50',
      'e"s': '-1.0',
    })
  })
})

describe('stringifyWith', () => {
  test('writes unchanged numbers as they stood, and changed ones anew', () => {
    const literals = numberLiterals('{"cap": 30.0, "scale": 2.0, "list": [1.0]}')
    expect(stringifyWith({ cap: 30, scale: 3, list: [1], added: 30 }, literals)).toBe(
      '{\n  "cap": 30.0,\n  "scale": 3,\n  "list": [\n    1.0\n  ],\n  "added": 30\n}',
    )
  })

  test('without literals it is JSON.stringify with two spaces', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value, null, 2)
        expect(stringifyWith(JSON.parse(text), new Map())).toBe(text)
      }),
    )
  })

  test('what it writes is read as the same value, whatever the literals were', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value)
        const spelled = text.replace(/(?<=[[,:])(-?\d+)(?=[\],}])/g, '$1.0')
        // Digits within strings are not numbers.
        fc.pre(!/"[^"]*\d/.test(text))
        expect(JSON.parse(stringifyWith(JSON.parse(spelled), numberLiterals(spelled)))).toEqual(JSON.parse(text))
      }),
    )
  })
})
