/** Arrays below this are made anew: they cost little, and there are many sizes of them. */
const LEAST = 1 << 20

/**
 * Memory of arrays that are over, for new ones of the same size. The system gives fresh memory zeroed, page by page when it is first
 * written: about 1 GB/s, where memory that was in use takes 10 GB/s; and V8 collects whenever some 32 MB more of it are in use.
 */
export class SpareMemory {
  readonly #free = new Map<number, ArrayBuffer[]>()
  /** In somebody's hands. */
  readonly #taken = new WeakSet<ArrayBuffer>()
  /** Sizes that were asked for since the last `trim`. */
  readonly #wanted = new Set<number>()

  /** A buffer of `bytes` bytes that holds anything: whoever takes it writes all of it. */
  take(bytes: number): ArrayBuffer {
    this.#wanted.add(bytes)
    const buffer = this.#free.get(bytes)?.pop() ?? new ArrayBuffer(bytes)
    this.#taken.add(buffer)
    return buffer
  }

  /** Takes back what was taken and nobody will look at any more. What came from elsewhere is left to the collector. */
  give({ buffer, byteLength }: ArrayBufferView): void {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== byteLength || byteLength < LEAST) return
    if (this.#taken.delete(buffer)) this.#free.set(byteLength, [...(this.#free.get(byteLength) ?? []), buffer])
  }

  /** Lets go of the sizes that nobody asked for since the last call: what is held follows one layer, where layers differ. */
  trim(): void {
    for (const bytes of this.#free.keys()) if (!this.#wanted.has(bytes)) this.#free.delete(bytes)
    this.#wanted.clear()
  }
}
