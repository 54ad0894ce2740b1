import { readFile } from 'node:fs/promises'
import { collectGarbage } from '../util/collect-garbage.ts'
import { RunError } from '../util/errors.ts'
import { span } from '../util/span.ts'
import { sharedMemory } from './arena.ts'
import { checkFactorInput, checkRefineInput, checkRoundGroupsInput, checkRoundInput, checkSearchInput, checkSweepInput } from './check.ts'
import { type Crew, localCrew } from './crew.ts'
import { wasmInverseFactor } from './inverse-factor.ts'
import type {
  Kernels,
  RefineInput,
  RefineResult,
  RoundGroupsInput,
  RoundGroupsResult,
  RoundInput,
  RoundResult,
  SearchInput,
  SweepInput,
  SweepResult,
} from './kernels.ts'
import { WorkerPool } from './pool.ts'
import { wasmRefine } from './refine.ts'
import { wasmRoundGroups } from './round-groups.ts'
import { wasmRoundWeights } from './round-weights.ts'
import { wasmSearchScales } from './search-scales.ts'
import { wasmSweep } from './sweep.ts'

/** The same place seen from src/kernels and from dist/kernels. */
const moduleUrl = new URL('../../wasm/kernels.wasm', import.meta.url)

/** The module that `npm run build:wasm` makes. Errors: RunError. */
export async function loadModule(): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(await readFile(moduleUrl))
  } catch (cause) {
    throw new RunError(`Cannot load the kernels: ${moduleUrl.pathname} is missing or damaged, expected what \`npm run build:wasm\` makes`, {
      cause,
    })
  }
}

/** A memory that has grown beyond this is given back after the call that made it so: it cannot shrink, and a stage has better use for it. */
const KEPT_BYTES = 64 * 2 ** 20

/** What calls run on: a memory and who shares it. */
interface Desk {
  readonly memory: WebAssembly.Memory
  readonly crew: Crew
}

/** Calls take turns, because they share one memory; each one spreads over all lanes by itself. */
class WasmKernels implements Kernels {
  readonly name = 'wasm'
  readonly threads: number
  readonly #open: () => Desk
  /** Null where the last one was given back. */
  #desk: Desk | null
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(threads: number, open: () => Desk) {
    this.threads = threads
    this.#open = open
    this.#desk = open()
  }

  async sweep(input: SweepInput): Promise<SweepResult> {
    checkSweepInput(input)
    return this.#inTurn('sweep', ({ memory, crew }) => wasmSweep(memory, crew, input))
  }

  async inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null> {
    checkFactorInput(h, n)
    return this.#inTurn('inverseFactor', ({ memory, crew }) => wasmInverseFactor(memory, crew, h, n))
  }

  async searchScales(input: SearchInput): Promise<Int32Array> {
    checkSearchInput(input)
    return this.#inTurn('searchScales', ({ memory, crew }) => wasmSearchScales(memory, crew, input))
  }

  async roundWeights(input: RoundInput): Promise<RoundResult> {
    checkRoundInput(input)
    return this.#inTurn('roundWeights', ({ memory, crew }) => wasmRoundWeights(memory, crew, input))
  }

  async roundGroups(input: RoundGroupsInput): Promise<RoundGroupsResult> {
    checkRoundGroupsInput(input)
    return this.#inTurn('roundGroups', ({ memory, crew }) => wasmRoundGroups(memory, crew, input))
  }

  async refine(input: RefineInput): Promise<RefineResult> {
    checkRefineInput(input)
    return this.#inTurn('refine', ({ memory, crew }) => wasmRefine(memory, crew, input))
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#desk?.crew.close()
  }

  #inTurn<T>(name: string, work: (desk: Desk) => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      if (this.#closed) throw new RunError('Cannot run a kernel: the kernels are closed, expected a call before close()')
      this.#desk ??= this.#open()
      const { memory, crew } = this.#desk
      const result = await span('kernel', name, () => work({ memory, crew }))
      if (memory.buffer.byteLength > KEPT_BYTES) {
        this.#desk = null
        await crew.close()
      }
      return result
    })
    const done = mine.then((result) => {
      // Here nobody refers to it any more.
      if (this.#desk === null) collectGarbage()
      return result
    })
    this.#turn = done.catch(() => undefined)
    return done
  }
}

/**
 * The kernels in WebAssembly SIMD. `threads` 1: in this thread, which is busy until a call is done; more: that many workers. A memory that a
 * call has made large is given back after it, any other by `close`. RunError when the module is missing.
 */
export async function wasmKernels({ threads }: { threads: number }): Promise<Kernels> {
  const module = await loadModule()
  return new WasmKernels(threads, () => {
    const memory = sharedMemory()
    return { memory, crew: threads === 1 ? localCrew(module, memory) : new WorkerPool(module, memory, threads) }
  })
}
