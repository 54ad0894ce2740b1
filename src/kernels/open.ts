import { availableParallelism } from 'node:os'
import { whole } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import type { Kernels } from './kernels.ts'
import type { Matrices } from './matrices.ts'
import { wasmKernels } from './wasm.ts'
import { wasmMatrices } from './wasm-matrices.ts'

/** Each thread is a worker with an instance of the module: with a thousand of them a run only starts workers. */
export const MOST_THREADS = 64

/**
 * The kernels for a run. `threads`: as many as there are cores, up to 64, where left out; UserError unless a whole number from 1 to 64.
 * Close them when done.
 */
export async function openKernels({ threads }: Threads = {}): Promise<Kernels> {
  return wasmKernels({ threads: checkedThreads(threads) })
}

/** A place for weight matrices, and products with them; `threads` as for `openKernels`. Close it when done. */
export async function openMatrices({ threads }: Threads = {}): Promise<Matrices> {
  return wasmMatrices({ threads: checkedThreads(threads) })
}

interface Threads {
  threads?: number | undefined
}

function checkedThreads(threads = Math.min(availableParallelism(), MOST_THREADS)): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
    throw new UserError(`Cannot use --threads: found ${threads}, expected a whole number from 1 to ${MOST_THREADS}`)
  return threads
}

/** What a `threads` option may be. */
export const threadsRule = whole(1, MOST_THREADS)
