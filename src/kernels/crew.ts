import { callExport } from './call-export.js'

/** Arguments of one call of a wasm export; the crew appends the lane that runs it. */
export type Call = readonly number[]

/** Who runs wasm calls: `lanes` instances of one module on one memory, in this thread or in workers. */
export interface Crew {
  readonly lanes: number
  /** All calls of the export `name`, in any order and at once as far as there are lanes; their results in the order of `calls`. */
  run(name: string, calls: readonly Call[]): Promise<number[]>
  close(): Promise<void>
}

/** The crew of one: calls run in this thread. */
export function localCrew(module: WebAssembly.Module, memory: WebAssembly.Memory): Crew {
  const instance = new WebAssembly.Instance(module, { env: { memory } })
  return {
    lanes: 1,
    async run(name, calls) {
      return calls.map((call) => callExport(instance, name, call, 0))
    },
    async close() {},
  }
}
