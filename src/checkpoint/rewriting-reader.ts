import { DTYPE_BYTES, type FloatDType } from '../numerics/dtype.ts'
import { decodeFloats, encodeFloats } from '../numerics/float-dtype.ts'
import { CheckpointError } from '../util/errors.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import type { StoredTensorInfo, TensorReader } from './tensor-reader.ts'

/** How a tensor comes out of a stored one of the same shape and type. */
export interface TensorRewrite {
  /** The tensor it is made from; another name gives a copy beside the original. */
  readonly from: string
  /** True where each row follows from that row alone: then any rows can be read without the others. */
  readonly byRow: boolean
  /** Rewrites the values in place: of some consecutive rows where `byRow`, else of the whole tensor. */
  rewrite(values: Float32Array): Promise<void> | void
}

/** Bytes of a chunk, up to a row. */
const CHUNK = 16 << 20

/**
 * A reader whose tensors of the given names are rewritten each time they are read, the others as they are below. Nothing is kept in memory.
 * Bytes are rounded to the stored type, once. `readFloats` of a matrix gives the values before that, for whoever compresses it; a vector is
 * stored as it is, and rounded. Errors: CheckpointError for a tensor that is no F32, F16 or BF16, or not finite.
 */
export class RewritingReader implements TensorReader {
  readonly dir: string
  readonly tensors: ReadonlyMap<string, StoredTensorInfo>
  readonly rewritten: ReadonlySet<string>
  readonly pieces: ReadonlyMap<string, StoredTensorInfo>
  readonly #below: TensorReader
  readonly #rewrites: ReadonlyMap<string, TensorRewrite>

  constructor(below: TensorReader, rewrites: ReadonlyMap<string, TensorRewrite>) {
    const tensors = new Map(below.tensors)
    for (const [name, { from }] of rewrites) {
      floatDtype(below, from)
      tensors.set(name, { ...below.info(from), name })
    }
    this.dir = below.dir
    this.rewritten = new Set([...below.rewritten, ...rewrites.keys()])
    this.pieces = new Map([...below.pieces].filter(([name]) => !rewrites.has(name)))
    this.tensors = tensors
    this.#below = below
    this.#rewrites = rewrites
  }

  has(name: string): boolean {
    return this.tensors.has(name)
  }

  info(name: string): StoredTensorInfo {
    return this.tensors.get(name) ?? this.#below.info(name)
  }

  async read(name: string, memory?: SpareMemory): Promise<Uint8Array> {
    const rewrite = this.#rewrites.get(name)
    if (!rewrite) return this.#below.read(name, memory)
    return encodeFloats(await this.#rewritten(rewrite), floatDtype(this.#below, rewrite.from))
  }

  async readRange(name: string, begin: number, end: number): Promise<Uint8Array> {
    const rewrite = this.#rewrites.get(name)
    if (!rewrite) return this.#below.readRange(name, begin, end)
    if (!rewrite.byRow) return (await this.read(name)).slice(begin, end)
    const rowBytes = this.#rowBytes(name)
    const first = Math.floor(begin / rowBytes) * rowBytes
    const dtype = floatDtype(this.#below, rewrite.from)
    const bytes = await this.#below.readRange(rewrite.from, first, Math.ceil(end / rowBytes) * rowBytes)
    const values = decodeFloats(bytes, dtype)
    requireFinite(values, rewrite.from, first / DTYPE_BYTES[dtype])
    await rewrite.rewrite(values)
    return encodeFloats(values, dtype).subarray(begin - first, end - first)
  }

  async *readChunks(name: string): AsyncGenerator<Uint8Array> {
    const rewrite = this.#rewrites.get(name)
    if (!rewrite) yield* this.#below.readChunks(name)
    else if (!rewrite.byRow) yield await this.read(name)
    else {
      const { begin, end } = this.info(name)
      const rowBytes = this.#rowBytes(name)
      const step = Math.max(1, Math.floor(CHUNK / rowBytes)) * rowBytes
      for (let at = 0; at < end - begin; at += step) yield await this.readRange(name, at, Math.min(end - begin, at + step))
    }
  }

  async readFloats(name: string): Promise<Float32Array> {
    const rewrite = this.#rewrites.get(name)
    if (!rewrite) return this.#below.readFloats(name)
    const { shape } = this.info(name)
    if (shape.length < 2) return decodeFloats(await this.read(name), floatDtype(this.#below, rewrite.from))
    return this.#rewritten(rewrite)
  }

  requireUnchanged(): Promise<void> {
    return this.#below.requireUnchanged()
  }

  async close(): Promise<void> {
    await this.#below.close()
  }

  /** The whole tensor, before it is rounded. */
  async #rewritten({ from, rewrite }: TensorRewrite): Promise<Float32Array> {
    const values = await this.#below.readFloats(from)
    requireFinite(values, from, 0)
    await rewrite(values)
    return values
  }

  /** Of a matrix; a vector is one row. */
  #rowBytes(name: string): number {
    const { shape, dtype } = this.info(name)
    return Math.max(1, shape[shape.length - 1]) * DTYPE_BYTES[dtype]
  }
}

/** A rewrite mixes values: one that is not finite would spread, and nobody could say where it was. `start`: index of the first. */
function requireFinite(values: Float32Array, name: string, start: number): void {
  const at = values.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return
  const message = `Cannot rewrite ${name}: found ${values[at]} at element ${start + at}, expected finite numbers.`
  throw new CheckpointError(message, { tensor: name })
}

function floatDtype(reader: TensorReader, name: string): FloatDType {
  const { dtype, file } = reader.info(name)
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return dtype
  throw new CheckpointError(`Cannot rewrite ${name}: its type is ${dtype}, expected F32, F16 or BF16.`, { file, tensor: name })
}
