import { Worker } from 'node:worker_threads'
import { RunError } from '../util/errors.ts'

// Places in the control words; lane.js has the same.
const JOBS = 0
const OPEN = 1
const AT_WORK = 2
const PAGES = 3

/** Bytes of the control words. */
export const CONTROL_BYTES = 64

/** How long a helper may be at the rows that it has taken, in milliseconds: they are microseconds' work, of wide matrices some milliseconds'. */
const PATIENCE = 60_000

/** Exports that take chunks of a job until there is none left. */
export type JobExport = 'products' | 'dense'

/**
 * Lanes that work on one job after another, this thread the first of them. A job costs a few microseconds, not the round trip of a message:
 * helpers look at a word of the shared memory, and only sleep when nothing comes. Who has not woken by the time all is taken is not waited
 * for, so a busy core holds nobody up.
 */
export class Lanes {
  readonly count: number
  readonly #memory: WebAssembly.Memory
  readonly #words: Int32Array
  readonly #work: (job: number) => void
  readonly #job: number
  readonly #workers: Worker[]
  #failure: RunError | undefined

  /**
   * `name`: the export that works on a job, which all lanes call with its address at once. `control`: the address of CONTROL_BYTES zeros; `job`:
   * that of the job, which is filled before each `run`.
   */
  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, name: JobExport, control: number, job: number, count: number) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } })
    this.count = count
    this.#memory = memory
    this.#work = exports[name] as (job: number) => void
    this.#job = job
    this.#words = new Int32Array(memory.buffer, control, 4)
    const workerData = { module, memory, name, control, job }
    this.#workers = Array.from({ length: count - 1 }, () => this.#open(workerData))
  }

  get isFailed(): boolean {
    return this.#failure !== undefined
  }

  /** Works on the job until it is done. Errors: RunError where a helper died. */
  run(): void {
    if (this.#failure) throw this.#failure
    const words = this.#words
    Atomics.store(words, PAGES, this.#memory.buffer.byteLength / 65536)
    Atomics.store(words, OPEN, 1)
    Atomics.add(words, JOBS, 1)
    if (this.#workers.length > 0) Atomics.notify(words, JOBS)
    this.#work(this.#job)
    Atomics.store(words, OPEN, 0)
    if (Atomics.load(words, AT_WORK) === 0) return
    const until = performance.now() + PATIENCE
    while (Atomics.load(words, AT_WORK) !== 0) {
      if (performance.now() > until) throw new RunError('Cannot multiply: a helper thread does not come back, expected its rows')
    }
  }

  async close(): Promise<void> {
    this.#failure ??= new RunError('Cannot multiply: the matrices are closed, expected a call before close()')
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #open(workerData: object): Worker {
    const worker = new Worker(new URL('./lane.js', import.meta.url), { workerData, execArgv: [] })
    worker.unref()
    worker.on('error', (cause) => {
      this.#failure ??= new RunError(`Cannot multiply: a helper thread failed (${cause.message}), expected it to live`, { cause })
    })
    return worker
  }
}
