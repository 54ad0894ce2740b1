import { expect, test } from 'vitest'
import { PythonRandom } from '../../src/util/python-random.ts'

test('PythonRandom draws what random.Random of CPython 3.11 draws, one sample after another', () => {
  const random = new PythonRandom(1234)
  expect(random.sample(12, 3)).toEqual([7, 1, 0])
  expect(random.sample(12, 6)).toEqual([1, 9, 0, 11, 8, 6])
  expect(random.sample(1000, 6)).toEqual([363, 242, 17, 31, 807, 16])
  expect(random.sample(40_000, 5)).toEqual([22681, 31735, 30379, 9735, 5982])
  expect(random.sample(30, 4)).toEqual([5, 22, 3, 27])
  expect(random.sample(100, 12)).toEqual([1, 64, 62, 31, 8, 85, 69, 59, 76, 86, 11, 65])
  // Far enough for the state to be twisted again.
  for (let i = 0; i < 700; i++) random.sample(1000, 1)
  expect(random.sample(500, 4)).toEqual([222, 365, 295, 462])
  expect(new PythonRandom(0).sample(7000, 8)).toEqual([6917, 3155, 6209, 3445, 331, 2121, 4188, 3980])
})

test('PythonRandom refuses to draw more than there are', () => {
  expect(() => new PythonRandom(1).sample(3, 4)).toThrow(/Cannot draw 4 different items: there are 3/)
})
