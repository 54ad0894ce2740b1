import { Worker } from 'node:worker_threads'
import { RunError } from '../util/errors.ts'
import type { Call, Crew } from './crew.ts'

/** What a lane answers: the calls that it took, and their results. */
type Answer = readonly (readonly [index: number, result: number])[]

interface Batch {
  name: string
  results: number[]
  /** Calls that have not come back. */
  left: number
  resolve(results: number[]): void
  reject(error: Error): void
}

/**
 * Worker threads that share one wasm memory. They take calls one by one from a counter that they share, so a slow core does not hold up the
 * others and a batch is one message to each. Idle workers do not keep the process alive. A worker that dies rejects what is running, with
 * RunError, and closes the pool.
 */
export class WorkerPool implements Crew {
  readonly lanes: number
  readonly #memory: WebAssembly.Memory
  readonly #workers: Worker[]
  /** The number of calls that have been taken, over all batches: who comes too late for a batch finds it past its end. */
  readonly #taken = new Int32Array(new SharedArrayBuffer(4))
  /** The number that are taken when what was handed out is done. */
  #given = 0
  #batch: Batch | undefined
  #failure: RunError | undefined

  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, lanes: number) {
    this.lanes = lanes
    this.#memory = memory
    this.#workers = Array.from({ length: lanes }, (_, lane) => this.#open({ module, memory, lane, taken: this.#taken }))
  }

  /** One batch at a time: callers wait for the one before. */
  run(name: string, calls: readonly Call[]): Promise<number[]> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#batch)
      return Promise.reject(new RunError(`Cannot run the kernel ${name}: ${this.#batch.name} is running, expected an idle pool`))
    if (calls.length === 0) return Promise.resolve([])
    const first = this.#given
    this.#given = (first + calls.length) | 0
    return new Promise((resolve, reject) => {
      this.#batch = { name, results: new Array(calls.length).fill(0), left: calls.length, resolve, reject }
      const bytes = this.#memory.buffer.byteLength
      for (const worker of this.#workers) {
        worker.ref()
        worker.postMessage({ name, calls, first, bytes })
      }
    })
  }

  async close(): Promise<void> {
    this.#fail('the pool was closed')
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #open(workerData: { module: WebAssembly.Module; memory: WebAssembly.Memory; lane: number; taken: Int32Array }): Worker {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData, execArgv: [] })
    worker.unref()
    worker.on('message', (answer: Answer) => this.#take(answer))
    worker.on('error', (error) => this.#fail(`worker ${workerData.lane} failed (${error.message})`, error))
    worker.on('exit', (code) => this.#fail(`worker ${workerData.lane} ended with exit code ${code}`))
    return worker
  }

  /** An answer of nothing may be to an earlier batch. */
  #take(answer: Answer): void {
    const batch = this.#batch
    if (!batch || answer.length === 0) return
    for (const [index, result] of answer) batch.results[index] = result
    batch.left -= answer.length
    if (batch.left > 0) return
    this.#batch = undefined
    for (const worker of this.#workers) worker.unref()
    batch.resolve(batch.results)
  }

  #fail(reason: string, cause?: Error): void {
    if (this.#failure) return
    this.#failure = new RunError(`Cannot run the kernels: ${reason}, expected the workers to live until close()`, { cause })
    const batch = this.#batch
    this.#batch = undefined
    for (const worker of this.#workers) void worker.terminate()
    batch?.reject(this.#failure)
  }
}
