// One lane of the pool (pool.ts): an instance of the kernels on the shared memory, one answer for each message.
import { parentPort, workerData } from 'node:worker_threads'
import { callExport } from './call-export.js'

/** @type {{ module: WebAssembly.Module, memory: WebAssembly.Memory, lane: number }} */
const { module, memory, lane } = workerData
const instance = new WebAssembly.Instance(module, { env: { memory } })

parentPort?.on('message', (/** @type {{ name: string, call: readonly number[] }} */ { name, call }) => {
  parentPort?.postMessage(callExport(instance, name, call, lane))
})
