import { DTYPE_BYTES, elementCount } from '../numerics/dtype.ts'
import { decodeFloats, isStoredFloat } from '../numerics/float-dtype.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import { cutPiece, type ExpertPiece, expertRange } from './expert-pieces.ts'
import type { StoredTensorInfo, TensorReader } from './tensor-reader.ts'

/**
 * A reader that shows the experts of tensors that hold them all one by one. One expert at a time is read, and nothing is kept. The tensors
 * that are cut are not listed, and can be read by their own names all the same.
 */
export class PiecewiseReader implements TensorReader {
  readonly dir: string
  readonly tensors: ReadonlyMap<string, StoredTensorInfo>
  readonly rewritten: ReadonlySet<string>
  readonly pieces: ReadonlyMap<string, StoredTensorInfo>
  readonly #below: TensorReader
  readonly #cuts: ReadonlyMap<string, ExpertPiece>

  constructor(below: TensorReader, cuts: ReadonlyMap<string, ExpertPiece>) {
    const wholes = new Set([...cuts.values()].map(({ whole }) => whole.name))
    const tensors = new Map([...below.tensors].filter(([name]) => !wholes.has(name)))
    for (const [name, { whole, shape }] of cuts) {
      const size = elementCount(shape) * DTYPE_BYTES[whole.dtype]
      tensors.set(name, { name, dtype: whole.dtype, shape: [...shape], begin: 0, end: size, file: whole.file })
    }
    this.dir = below.dir
    this.tensors = tensors
    this.rewritten = below.rewritten
    this.pieces = new Map([...below.pieces, ...[...cuts].map(([name, { whole }]) => [name, whole] as const)])
    this.#below = below
    this.#cuts = cuts
  }

  has(name: string): boolean {
    return this.tensors.has(name)
  }

  info(name: string): StoredTensorInfo {
    return this.tensors.get(name) ?? this.#below.info(name)
  }

  async read(name: string, memory?: SpareMemory): Promise<Uint8Array> {
    const cut = this.#cuts.get(name)
    return cut ? cutPiece(cut, await this.#below.readRange(cut.whole.name, ...expertRange(cut))) : this.#below.read(name, memory)
  }

  async readRange(name: string, begin: number, end: number): Promise<Uint8Array> {
    return this.#cuts.has(name) ? (await this.read(name)).slice(begin, end) : this.#below.readRange(name, begin, end)
  }

  async *readChunks(name: string): AsyncGenerator<Uint8Array> {
    if (this.#cuts.has(name)) yield await this.read(name)
    else yield* this.#below.readChunks(name)
  }

  async readFloats(name: string): Promise<Float32Array> {
    const cut = this.#cuts.get(name)
    if (!cut || !isStoredFloat(cut.whole.dtype)) return this.#below.readFloats(name)
    return decodeFloats(await this.read(name), cut.whole.dtype)
  }

  requireUnchanged(): Promise<void> {
    return this.#below.requireUnchanged()
  }

  async close(): Promise<void> {
    await this.#below.close()
  }
}
