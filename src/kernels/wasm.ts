import { readFile } from 'node:fs/promises'
import { RunError } from '../util/errors.ts'
import { span } from '../util/span.ts'
import { sharedMemory } from './arena.ts'
import { checkFactorInput, checkRefineInput, checkRoundInput, checkSearchInput, checkSweepInput } from './check.ts'
import { type Crew, localCrew } from './crew.ts'
import { wasmInverseFactor } from './inverse-factor.ts'
import type { Kernels, RefineInput, RefineResult, RoundInput, RoundResult, SearchInput, SweepInput, SweepResult } from './kernels.ts'
import { WorkerPool } from './pool.ts'
import { wasmRefine } from './refine.ts'
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

/** Calls take turns, because they share one memory; each one spreads over all lanes by itself. */
class WasmKernels implements Kernels {
  readonly name = 'wasm'
  readonly threads: number
  readonly #memory: WebAssembly.Memory
  readonly #crew: Crew
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(memory: WebAssembly.Memory, crew: Crew) {
    this.threads = crew.lanes
    this.#memory = memory
    this.#crew = crew
  }

  async sweep(input: SweepInput): Promise<SweepResult> {
    checkSweepInput(input)
    return this.#inTurn('sweep', () => wasmSweep(this.#memory, this.#crew, input))
  }

  async inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null> {
    checkFactorInput(h, n)
    return this.#inTurn('inverseFactor', () => wasmInverseFactor(this.#memory, this.#crew, h, n))
  }

  async searchScales(input: SearchInput): Promise<Int32Array> {
    checkSearchInput(input)
    return this.#inTurn('searchScales', () => wasmSearchScales(this.#memory, this.#crew, input))
  }

  async roundWeights(input: RoundInput): Promise<RoundResult> {
    checkRoundInput(input)
    return this.#inTurn('roundWeights', () => wasmRoundWeights(this.#memory, this.#crew, input))
  }

  async refine(input: RefineInput): Promise<RefineResult> {
    checkRefineInput(input)
    return this.#inTurn('refine', () => wasmRefine(this.#memory, this.#crew, input))
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#crew.close()
  }

  #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(() => {
      if (this.#closed) throw new RunError('Cannot run a kernel: the kernels are closed, expected a call before close()')
      return span('kernel', name, work)
    })
    this.#turn = mine.catch(() => undefined)
    return mine
  }
}

/**
 * The kernels in WebAssembly SIMD. `threads` 1: in this thread, which is busy until a call is done; more: that many workers. The memory
 * grows with the largest call and is given back by `close`. RunError when the module is missing.
 */
export async function wasmKernels({ threads }: { threads: number }): Promise<Kernels> {
  const module = await loadModule()
  const memory = sharedMemory()
  return new WasmKernels(memory, threads === 1 ? localCrew(module, memory) : new WorkerPool(module, memory, threads))
}
