import { expect, test } from 'vitest'
import { didYouMean, nearest } from '../../src/util/nearest.ts'

test('nearest finds the word that differs by a few letters or by case', () => {
  expect(nearest('schem', ['targets', 'scheme', 'ignore'])).toBe('scheme')
  expect(nearest('gptqmodifier', ['GPTQModifier', 'QuantizationModifier'])).toBe('GPTQModifier')
})

test('nearest gives nothing when all candidates are far', () => {
  expect(nearest('group', ['group_size', 'targets'])).toBeUndefined()
  expect(nearest('x', ['a', 'b'])).toBeUndefined()
})

test('didYouMean is a phrase for messages, empty without a near word', () => {
  expect(didYouMean('ignroe', ['ignore'])).toBe(' (did you mean "ignore"?)')
  expect(didYouMean('zzzzzz', ['ignore'])).toBe('')
})
