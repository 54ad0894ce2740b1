import { availableParallelism } from 'node:os'
import { whole } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import type { Kernels } from './kernels.ts'
import { wasmKernels } from './wasm.ts'

/** Each thread is a worker with an instance of the module: with a thousand of them a run only starts workers. */
export const MOST_THREADS = 64

/**
 * The kernels for a run. `threads`: as many as there are cores, up to 64, where left out; UserError unless a whole number from 1 to 64.
 * Close them when done.
 */
export async function openKernels({
  threads = Math.min(availableParallelism(), MOST_THREADS),
}: {
  threads?: number | undefined
} = {}): Promise<Kernels> {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
    throw new UserError(`Cannot use --threads: found ${threads}, expected a whole number from 1 to ${MOST_THREADS}`)
  return wasmKernels({ threads })
}

/** What a `threads` option may be. */
export const threadsRule = whole(1, MOST_THREADS)
