// One lane of the pool (pool.ts): an instance of the kernels on the shared memory. Of each batch it takes calls until there are none left.
import { parentPort, workerData } from 'node:worker_threads'
import { callExport } from './call-export.js'

/** @type {{ module: WebAssembly.Module, memory: WebAssembly.Memory, lane: number, taken: Int32Array }} */
const { module, memory, lane, taken } = workerData
const instance = new WebAssembly.Instance(module, { env: { memory } })

parentPort?.on(
  'message',
  (/** @type {{ name: string, calls: readonly (readonly number[])[], first: number }} */ { name, calls, first }) => {
    const answer = []
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
