import { setFlagsFromString } from 'node:v8'
import { afterEach, expect, test, vi } from 'vitest'
import { withRareCollections } from '../../src/util/rare-collections.ts'

vi.mock('node:v8', async (original) => ({ ...(await original<typeof import('node:v8')>()), setFlagsFromString: vi.fn() }))

const flags = () => vi.mocked(setFlagsFromString).mock.calls.flat()
afterEach(() => vi.mocked(setFlagsFromString).mockClear())

test('the collector is set back to its own choice when the work is done', async () => {
  const during = withRareCollections(async () => flags())
  await expect(during).resolves.toEqual(['--heap-growing-percent=200'])
  expect(flags()).toEqual(['--heap-growing-percent=200', '--heap-growing-percent=0'])
})

test('and when it fails', async () => {
  const failing = withRareCollections(() => Promise.reject(new RangeError('no')))
  await expect(failing).rejects.toThrow(RangeError)
  expect(flags().at(-1)).toBe('--heap-growing-percent=0')
})
