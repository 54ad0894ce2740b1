// A helper of lanes (lanes.ts): joins in wherever a job is open, and sleeps where none comes for a while.
import { workerData } from 'node:worker_threads'

// Places in the control words; lanes.ts has the same.
const JOBS = 0
const OPEN = 1
const AT_WORK = 2
const PAGES = 3
/** Looks at the number of jobs before it sleeps: about a tenth of a millisecond, which is what lies between two products of a token. */
const LOOKS = 10_000

/** @type {{ module: WebAssembly.Module, memory: WebAssembly.Memory, name: string, control: number, job: number }} */
const { module, memory, name, control, job } = workerData
const { exports } = new WebAssembly.Instance(module, { env: { memory } })
const work = /** @type {(job: number) => void} */ (exports[name])
const words = new Int32Array(memory.buffer, control, 4)

/** Pages of the memory that this thread is known to see. */
let pages = 0
for (let seen = 0; ; ) {
  for (let looks = 0; Atomics.load(words, JOBS) === seen && looks < LOOKS; looks++);
  Atomics.wait(words, JOBS, seen)
  seen = Atomics.load(words, JOBS)
  Atomics.add(words, AT_WORK, 1)
  if (Atomics.load(words, OPEN) === 1) {
    const now = Atomics.load(words, PAGES)
    // As in worker.js: a memory that grew while the thread started.
    if (now > pages) {
      memory.grow(0)
      pages = now
    }
    work(job)
  }
  Atomics.sub(words, AT_WORK, 1)
}
