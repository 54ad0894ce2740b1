import { Worker } from 'node:worker_threads'
import { RunError } from '../util/errors.ts'
import type { Call, Crew } from './crew.ts'

interface Lane {
  worker: Worker
  /** The call it is at work on, as an index into the batch. */
  index: number
}

interface Batch {
  name: string
  calls: readonly Call[]
  results: number[]
  /** The next call to hand out, and how many have come back. */
  next: number
  done: number
  resolve(results: number[]): void
  reject(error: Error): void
}

/**
 * Worker threads that share one wasm memory. Calls are handed out one by one, so a slow core does not hold up the others. Idle workers do
 * not keep the process alive. A worker that dies rejects what is running, with RunError, and closes the pool.
 */
export class WorkerPool implements Crew {
  readonly lanes: number
  readonly #lanes: Lane[]
  #batch: Batch | undefined
  #failure: RunError | undefined

  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, lanes: number) {
    this.lanes = lanes
    this.#lanes = Array.from({ length: lanes }, (_, lane) => this.#open({ module, memory, lane }))
  }

  /** One batch at a time: callers wait for the one before. */
  run(name: string, calls: readonly Call[]): Promise<number[]> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#batch)
      return Promise.reject(new RunError(`Cannot run the kernel ${name}: ${this.#batch.name} is running, expected an idle pool`))
    if (calls.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      this.#batch = { name, calls, results: new Array(calls.length).fill(0), next: 0, done: 0, resolve, reject }
      for (const lane of this.#lanes) {
        lane.worker.ref()
        this.#give(lane)
      }
    })
  }

  async close(): Promise<void> {
    this.#fail('the pool was closed')
    await Promise.all(this.#lanes.map((lane) => lane.worker.terminate()))
  }

  #open(workerData: { module: WebAssembly.Module; memory: WebAssembly.Memory; lane: number }): Lane {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData, execArgv: [] })
    const lane = { worker, index: -1 }
    worker.unref()
    worker.on('message', (value: number) => {
      this.#take(lane, value)
      this.#give(lane)
    })
    worker.on('error', (error) => this.#fail(`worker ${workerData.lane} failed (${error.message})`, error))
    worker.on('exit', (code) => this.#fail(`worker ${workerData.lane} ended with exit code ${code}`))
    return lane
  }

  #give(lane: Lane): void {
    const batch = this.#batch
    const call = batch?.calls[batch.next]
    if (!batch || !call) return
    lane.index = batch.next++
    lane.worker.postMessage({ name: batch.name, call })
  }

  #take(lane: Lane, value: number): void {
    const batch = this.#batch
    if (!batch) return
    batch.results[lane.index] = value
    batch.done++
    if (batch.done < batch.calls.length) return
    this.#batch = undefined
    for (const { worker } of this.#lanes) worker.unref()
    batch.resolve(batch.results)
  }

  #fail(reason: string, cause?: Error): void {
    if (this.#failure) return
    this.#failure = new RunError(`Cannot run the kernels: ${reason}, expected the workers to live until close()`, { cause })
    const batch = this.#batch
    this.#batch = undefined
    for (const { worker } of this.#lanes) void worker.terminate()
    batch?.reject(this.#failure)
  }
}
