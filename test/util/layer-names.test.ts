import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldLayers, runs, splitLayer } from '../../src/util/layer-names.ts'

describe('splitLayer()', () => {
  test('splits at the first number, so that experts stay in the rest', () => {
    expect(splitLayer('model.layers.3.mlp.experts.7.up_proj')).toEqual({ prefix: 'model.layers', layer: 3, rest: 'mlp.experts.7.up_proj' })
    expect(splitLayer('model.layers.12')).toEqual({ prefix: 'model.layers', layer: 12, rest: '' })
  })

  test('is null outside the layers', () => expect(splitLayer('lm_head')).toBeNull())
})

describe('runs()', () => {
  test.each([
    [[0, 1, 2, 5], '0-2,5'],
    [[3], '3'],
    [[4, 2, 3, 3], '2-4'],
    [[10, 9], '9-10'],
  ])('%j is %s', (numbers, text) => expect(runs(numbers)).toBe(text))

  test('loses no number', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50), { minLength: 1 }), (numbers) => {
        const read = runs(numbers)
          .split(',')
          .flatMap((span) => {
            const [from, to = from] = span.split('-').map(Number)
            return Array.from({ length: to - from + 1 }, (_, i) => from + i)
          })
        expect(read).toEqual([...numbers].sort((a, b) => a - b))
      }),
    )
  })
})

describe('foldLayers()', () => {
  test('puts layers with the same module together, and only those', () => {
    const names = ['m.0.up', 'm.0.down', 'm.1.up', 'm.2.up', 'm.2.down', 'lm_head', 'other.0.up']
    expect(foldLayers(names)).toEqual(['m.0-2.up', 'm.0,2.down', 'lm_head', 'other.0.up'])
  })
})
