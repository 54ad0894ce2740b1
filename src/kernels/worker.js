// One lane of the pool (pool.ts): an instance of the kernels on the shared memory. Of each batch it takes calls until there are none left.
import { parentPort, workerData } from 'node:worker_threads'
import { callExport } from './call-export.js'

/** @type {{ module: WebAssembly.Module, memory: WebAssembly.Memory, lane: number, taken: Int32Array }} */
const { module, memory, lane, taken } = workerData
const instance = new WebAssembly.Instance(module, { env: { memory } })
/** Bytes of the memory that this thread is known to see. */
let seen = 0

parentPort?.on(
  'message',
  (/** @type {{ name: string, calls: readonly (readonly number[])[], first: number, bytes: number }} */ { name, calls, first, bytes }) => {
    const answer = []
    if (bytes > seen) {
      // A memory that grows while a thread starts can stay as small as it was for that thread (V8; one run in thousands): growing by nothing
      // makes it look again.
      memory.grow(0)
      seen = bytes
    }
    for (;;) {
      const at = Atomics.load(taken, 0)
      // Numbers of calls go on from -2^31 after 2^31 - 1.
      const index = (at - first) | 0
      if (index >= calls.length) break
      if (Atomics.compareExchange(taken, 0, at, (at + 1) | 0) === at) answer.push([index, callExport(instance, name, calls[index], lane)])
    }
    parentPort?.postMessage(answer)
  },
)
