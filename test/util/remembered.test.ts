import { expect, test, vi } from 'vitest'
import { remembered } from '../../src/util/remembered.ts'

test('remembered works out each result once, undefined included, and not one that threw', () => {
  const work = vi.fn((key: number) => {
    if (key < 0) throw new RangeError('negative')
    return key === 0 ? undefined : 2 * key
  })
  const doubled = remembered(work)
  expect([3, 3, 0, 0, 4].map(doubled)).toEqual([6, 6, undefined, undefined, 8])
  expect(work).toHaveBeenCalledTimes(3)
  for (let i = 0; i < 2; i++) expect(() => doubled(-1)).toThrow(RangeError)
  expect(work).toHaveBeenCalledTimes(5)
})
