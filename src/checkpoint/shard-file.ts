import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { RunError } from '../util/errors.ts'
import { sha256OfFile } from './file-hash.ts'
import { layOut, type SafetensorsEntry } from './safetensors.ts'
import type { Shard } from './shards.ts'
import type { TensorInfo } from './tensor.ts'
import { writeError } from './write-error.ts'

/**
 * One safetensors file while it is written. What it will hold is known from the start, so its header comes first and tensors may follow in
 * any order. With the last one the file is synced and closed: from then on it survives a crash.
 */
export class ShardFile {
  readonly name: string
  readonly path: string
  /** Of the whole file, header included. */
  readonly #bytes: number
  /** Its SHA-256, on its way from when the file is whole; here once it is synced. */
  #hash: Promise<string> | null = null
  readonly #hashing = new AbortController()
  readonly #header: Uint8Array
  readonly #entries: ReadonlyMap<string, SafetensorsEntry>
  readonly #begun = new Set<string>()
  readonly #missing: Set<string>
  #opening: Promise<FileHandle> | undefined

  /** A file in `dir` for the tensors of `shard`; nothing is written yet. */
  constructor(dir: string, shard: Shard) {
    const { header, entries, fileSize } = layOut(shard.tensors)
    this.name = shard.file
    this.path = join(dir, shard.file)
    this.#header = header
    this.#bytes = fileSize
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
    this.#missing = new Set(this.#entries.keys())
  }

  /** Names of the tensors that have not been written. */
  get missing(): ReadonlySet<string> {
    return this.#missing
  }

  /** Size of the file in bytes and its SHA-256, read back; null until it is whole and synced. */
  async sealed(): Promise<{ bytes: number; sha256: string } | null> {
    return this.#hash && { bytes: this.#bytes, sha256: await this.#hash }
  }

  /**
   * Takes up the file that a stopped run left, with the tensors of `written` whole in it. Errors: RunError where there is no such file or it
   * was made for other tensors.
   */
  async resume(written: ReadonlySet<string>): Promise<void> {
    const kept = [...this.#entries.keys()].filter((name) => written.has(name))
    if (kept.length === 0) return
    const handle = await this.#reopen()
    this.#opening = Promise.resolve(handle)
    for (const name of kept) {
      this.#begun.add(name)
      this.#missing.delete(name)
    }
    if (this.#missing.size === 0) await this.#seal(handle)
  }

  /** Makes what was written so far survive a crash. */
  async sync(): Promise<void> {
    try {
      await (await this.#opening)?.sync()
    } catch (cause) {
      throw writeError(cause, this.path)
    }
  }

  /**
   * Writes one tensor from chunks of any size, each while the next is on its way: it must be good until the one after that is asked for, the
   * last until more than it is. Errors: RunError when type, shape or length are not those planned, the tensor was already written, or the
   * disk is full; UserError when writing is not allowed.
   */
  async write(info: TensorInfo, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const entry = this.#claim(info)
    const handle = await this.#open()
    let at = entry.begin
    let writing = Promise.resolve()
    try {
      for await (const chunk of chunks) {
        if (at + chunk.length > entry.end) throw this.#wrongLength(entry, `more than ${entry.end - entry.begin}`)
        await writing
        writing = this.#writeFully(handle, chunk, at)
        // Heard of when it is waited for.
        writing.catch(() => {})
        at += chunk.length
        // Whoever reads for another tensor takes the memory of the chunks once these are at their end.
        if (at === entry.end) await writing
      }
      await writing
    } finally {
      // Nobody closes the file under it, nor reads into what it writes.
      await writing.catch(() => {})
    }
    if (at !== entry.end) throw this.#wrongLength(entry, `${at - entry.begin}`)
    this.#missing.delete(entry.name)
    if (this.#missing.size === 0) await this.#seal(handle)
  }

  /** Writes the header of a file that has no tensors; for all others the last tensor has done everything. */
  async finish(): Promise<void> {
    if (this.#entries.size === 0) await this.#seal(await this.#open())
  }

  /** Closes the file as it is, for good. */
  async abandon(): Promise<void> {
    this.#hashing.abort()
    await this.#close()
  }

  async #close(): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    await opening?.then(
      (handle) => handle.close(),
      () => {},
    )
  }

  #claim({ name, dtype, shape }: TensorInfo): SafetensorsEntry {
    const entry = this.#entries.get(name)
    const cannot = `Cannot write ${name} to ${this.path}:`
    if (!entry) throw new RunError(`${cannot} the plan has no such tensor in this file.`)
    if (entry.dtype !== dtype || entry.shape.join() !== shape.join()) {
      throw new RunError(`${cannot} found ${dtype} [${shape}], expected ${entry.dtype} [${entry.shape}] as planned.`)
    }
    if (this.#begun.has(name)) throw new RunError(`${cannot} it was written before.`)
    this.#begun.add(name)
    return entry
  }

  #open(): Promise<FileHandle> {
    this.#opening ??= this.#create()
    return this.#opening
  }

  async #create(): Promise<FileHandle> {
    try {
      const handle = await open(this.path, 'wx')
      try {
        await this.#writeFully(handle, this.#header, 0)
        return handle
      } catch (error) {
        await handle.close()
        throw error
      }
    } catch (cause) {
      throw writeError(cause, this.path)
    }
  }

  async #reopen(): Promise<FileHandle> {
    const handle = await open(this.path, 'r+').catch((cause: unknown) => {
      throw new RunError(`Cannot go on with ${this.path}: ${cause instanceof Error ? cause.message : cause}.`, { cause })
    })
    const header = Buffer.alloc(this.#header.length)
    const { bytesRead } = await handle.read(header, 0, header.length, 0)
    if (bytesRead === header.length && header.equals(this.#header)) return handle
    await handle.close()
    throw new RunError(`Cannot go on with ${this.path}: its header is not the one planned, expected the file of the stopped run.`)
  }

  /** The hash needs what was written, not the disk: both go on side by side. */
  async #seal(handle: FileHandle): Promise<void> {
    const hash = sha256OfFile(this.path, this.#hashing.signal)
    // Whoever asks for it hears of it; nobody does after an error elsewhere.
    hash.catch(() => {})
    try {
      await handle.sync()
      await this.#close()
    } catch (cause) {
      this.#hashing.abort()
      throw writeError(cause, this.path)
    }
    this.#hash = hash
  }

  async #writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten
      }
    } catch (cause) {
      throw writeError(cause, this.path)
    }
  }

  #wrongLength({ name, dtype, shape, begin, end }: SafetensorsEntry, found: string): RunError {
    return new RunError(`Cannot write ${name} to ${this.path}: found ${found} bytes, expected ${end - begin} for ${dtype} [${shape}].`)
  }
}
