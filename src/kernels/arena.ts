import { collectGarbage } from '../util/collect-garbage.ts'
import { RunError } from '../util/errors.ts'
import { seeGuide } from '../util/see-guide.ts'

const pageBytes = 65536
/** The end of a 32-bit wasm memory. */
const limitBytes = 65536 * pageBytes
const alignment = 64
/** Before it grows by so much, what awaits collection is given back. */
const largeBytes = 128 * 2 ** 20

/** A wasm memory of up to 4 GiB that workers can share. RunError where the address space for it is not to be had. */
export function sharedMemory(): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: limitBytes / pageBytes, shared: true })
  } catch (cause) {
    throw new RunError('Cannot open the kernels: 4 GiB of address space were refused, expected no lower limit (see ulimit -v)', { cause })
  }
}

/**
 * Hands out addresses in a wasm memory one after the other; page 0 is left to the module. Nothing is freed: one arena serves one kernel
 * call.
 */
export class Arena {
  readonly #memory: WebAssembly.Memory
  readonly #purpose: string
  #end = pageBytes

  /** `purpose` goes into the error: what the memory is needed for. */
  constructor(memory: WebAssembly.Memory, purpose: string) {
    this.#memory = memory
    this.#purpose = purpose
  }

  /** The address of `bytes` bytes. RunError when the memory cannot grow that far. What the bytes hold is not defined. */
  take(bytes: number): number {
    const at = this.#end
    const end = Math.ceil((at + bytes) / alignment) * alignment
    const missing = Math.ceil((end - this.#memory.buffer.byteLength) / pageBytes)
    if (missing > 0) this.#grow(missing, end)
    this.#end = end
    return at
  }

  #grow(pages: number, end: number): void {
    if (pages * pageBytes > largeBytes) collectGarbage()
    try {
      this.#memory.grow(pages)
    } catch (cause) {
      const needed = (end / 2 ** 30).toFixed(2)
      throw new RunError(
        `Cannot ${this.#purpose}: it takes ${needed} GiB or more, expected 4 GiB at most and that much free memory.${seeGuide('memory')}`,
        {
          cause,
        },
      )
    }
  }
}
