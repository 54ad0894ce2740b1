import type { KernelBackend } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { watchBackend } from '../../src/engine/webgpu-backend.ts'
import type { OpenedDevice } from '../../src/engine/webgpu-device.ts'
import { RunError } from '../../src/util/errors.ts'

const MB = 2 ** 20

/** A watched stand-in for tfjs's backend; `report` is what the device tells of an error. */
function watched(read = async (): Promise<Float32Array> => Float32Array.of(1, 2)) {
  const log: string[] = []
  let report = (_message: string) => {}
  const work: (() => void)[] = []
  const bufferManager = { freeBuffers: new Map(), numFreeBuffers: 0, numBytesAllocated: 0, numBytesUsed: 0 }
  const made = {
    bufferManager,
    queue: { onSubmittedWorkDone: () => new Promise<void>((done) => work.push(done)) },
    read,
    submitQueue: () => log.push('submitted'),
  }
  const device: OpenedDevice['device'] = {
    addEventListener: (_type, listener) => {
      report = (message) => listener({ error: { message }, preventDefault: () => {} })
    },
    destroy: () => {},
  }
  const backend = watchBackend(made as unknown as KernelBackend, { device } as OpenedDevice, { adapter: 'Some GPU', software: false })
  return { backend, made, log, work, bufferManager, report: (message: string) => report(message) }
}

describe('watchBackend', () => {
  it('gives values while the device says nothing', async () => {
    expect(await watched().backend.read({})).toEqual(Float32Array.of(1, 2))
  })

  it('throws the first error of the device where values are read, once: what is computed later is sound', async () => {
    const { backend, report } = watched()
    report('Buffer size (5) exceeds the max buffer size limit (4).\n - While calling CreateBuffer')
    report('[Invalid Buffer] is invalid due to a previous error.')
    const failure = backend.read({})
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow('Cannot compute on Some GPU: Buffer size (5) exceeds the max buffer size limit (4).')
    expect(await backend.read({})).toEqual(Float32Array.of(1, 2))
  })

  it('says that the device was lost when a read is given up', async () => {
    const { backend } = watched(() => Promise.reject(new Error('aborted')))
    await expect(backend.read({})).rejects.toThrow('Cannot compute on Some GPU: the device was lost (Error aborted)')
  })

  it('lets one step wait in the queue, not two', async () => {
    const { backend, work } = watched()
    await backend.pace()
    let second = false
    const waiting = backend.pace().then(() => {
      second = true
    })
    await Promise.resolve()
    expect(second).toBe(false)
    work[0]()
    await waiting
    expect(second).toBe(true)
  })

  it.each([
    ['keeps', 1000, 100, []],
    ['keeps', 2900, 1500, []],
    ['empties', 3100, 1500, ['destroyed', 'destroyed']],
  ])('%s a pool of %d MB of which %d are in use', (_, allocated, used, destroyed) => {
    const { made, log, bufferManager } = watched()
    const size = ((allocated - used) / 2) * MB
    const buffer = { size, destroy: () => log.push('destroyed') }
    bufferManager.freeBuffers.set('key', [buffer, buffer])
    Object.assign(bufferManager, { numFreeBuffers: 2, numBytesAllocated: allocated * MB, numBytesUsed: used * MB })
    made.submitQueue()
    expect(log).toEqual(['submitted', ...destroyed])
    expect(bufferManager.numBytesAllocated).toBe((destroyed.length > 0 ? used : allocated) * MB)
    expect(bufferManager.freeBuffers.get('key')).toHaveLength(2 - destroyed.length)
  })
})
