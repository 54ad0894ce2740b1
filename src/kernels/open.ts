import { availableParallelism } from 'node:os'
import { UserError } from '../util/errors.ts'
import type { Kernels } from './kernels.ts'
import { wasmKernels } from './wasm.ts'

/** The kernels for a run. `threads`: as many as there are cores where left out; UserError unless it is a whole number from 1. Close them when done. */
export async function openKernels({ threads = availableParallelism() }: { threads?: number | undefined } = {}): Promise<Kernels> {
  if (!Number.isInteger(threads) || threads < 1)
    throw new UserError(`Cannot use --threads: found ${threads}, expected a whole number from 1`)
  return wasmKernels({ threads })
}
