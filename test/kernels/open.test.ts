import { expect, test } from 'vitest'
import { openKernels } from '../../src/kernels/open.ts'
import { UserError } from '../../src/util/errors.ts'

test('openKernels refuses a thread count that is not a whole number from 1 to 64', async () => {
  for (const threads of [0, -1, 1.5, Number.NaN, 65, 1000]) await expect(openKernels({ threads })).rejects.toThrow(UserError)
})

test('openKernels gives wasm with the threads asked for', async () => {
  const kernels = await openKernels({ threads: 2 })
  expect([kernels.name, kernels.threads]).toEqual(['wasm', 2])
  await kernels.close()
})
