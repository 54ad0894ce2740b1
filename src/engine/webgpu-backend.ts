import type { DataId, KernelBackend } from '@tensorflow/tfjs-core'
import { RunError } from '../util/errors.ts'
import { seeGuide } from '../util/see-guide.ts'
import type { OpenedDevice } from './webgpu-device.ts'

/** tfjs's pool of GPU buffers: those that nobody uses, by size and usage, for the next that asks for the very same. */
interface BufferPool {
  readonly freeBuffers: ReadonlyMap<string, { readonly size: number; destroy(): void }[]>
  numFreeBuffers: number
  numBytesAllocated: number
  readonly numBytesUsed: number
}

/** The part of tfjs's WebGPU backend that is used here. */
interface WebgpuBackend extends KernelBackend {
  readonly queue: { onSubmittedWorkDone(): Promise<void> }
  readonly bufferManager: BufferPool
  /** What was recorded and not yet handed to the GPU. */
  readonly commandEncoder: object | null
  endComputePassEncoder(): void
  submitQueue(): void
}

/** What a backend runs on. */
interface AdapterFacts {
  /** For people. */
  readonly adapter: string
  /** It computes on the CPU. */
  readonly software: boolean
}

/** A WebGPU backend that tells of errors and does not run ahead without bound. */
export interface WatchedBackend extends KernelBackend, AdapterFacts {
  /** Resolves when all but the work since the last call is done. */
  pace(): Promise<void>
  /** Hands to the GPU what is recorded: until then tfjs puts off the disposal of what it reads. */
  flush(): void
  readonly gpu: object
}

/** Bytes of unused buffers that may always be kept, and beyond it as many as are in use. */
const KEPT_FREE = 2 ** 30

/**
 * Adds to tfjs's backend what a long computation needs. WebGPU reports errors (memory that ran out, a tensor past the device's limits) beside
 * the calls that caused them, and results are zeros: so the first one is thrown where values are read. The pool of buffers is emptied when it
 * outgrows what is in use, as it does where rows have many lengths. The device goes when the process does.
 */
export function watchBackend(made: KernelBackend, { gpu, device }: OpenedDevice, facts: AdapterFacts): WatchedBackend {
  const backend = made as WebgpuBackend
  const read = backend.read.bind(backend)
  const submitQueue = backend.submitQueue.bind(backend)
  let failure: string | null = null
  let lastStep = Promise.resolve()
  const fail = (why: string): never => {
    failure = null
    throw new RunError(
      `Cannot compute on ${facts.adapter}: ${why.trim()}. Expected results: take fewer calibration rows where memory ran out, else --engine native or wasm.${seeGuide('memory')}`,
    )
  }
  device.addEventListener('uncapturederror', (event) => {
    // Else Dawn prints it, to standard output.
    event.preventDefault()
    failure ??= event.error.message.split('\n')[0]
  })
  process.once('exit', () => device.destroy())
  return Object.assign(backend, {
    ...facts,
    gpu,
    read: async (id: DataId) => {
      const values = await read(id).catch((error: Error) => fail(failure ?? `the device was lost (${error.name} ${error.message})`))
      return failure === null ? values : fail(failure)
    },
    submitQueue: () => {
      submitQueue()
      emptyPool(backend.bufferManager)
    },
    flush: () => {
      if (!backend.commandEncoder) return
      backend.endComputePassEncoder()
      backend.submitQueue()
    },
    pace: async () => {
      const before = lastStep
      // What goes wrong here is told by the next read.
      lastStep = backend.queue.onSubmittedWorkDone().catch(() => {})
      await before
    },
  })
}

function emptyPool(pool: BufferPool): void {
  if (pool.numBytesAllocated - pool.numBytesUsed <= Math.max(KEPT_FREE, pool.numBytesUsed)) return
  for (const buffers of pool.freeBuffers.values()) {
    for (const buffer of buffers) {
      pool.numBytesAllocated -= buffer.size
      buffer.destroy()
    }
    pool.numFreeBuffers -= buffers.length
    buffers.length = 0
  }
}
