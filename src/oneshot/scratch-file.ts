import { type FileHandle, open, rm } from 'node:fs/promises'
import { writeError } from '../checkpoint/write-error.ts'
import { RunError } from '../util/errors.ts'

/** A place in a scratch file, in bytes. */
export interface ScratchPlace {
  readonly begin: number
  readonly bytes: number
}

/**
 * A file of float32 arrays that is there for the time of a run. Places that are given back are used again, so it stays as small as the most
 * that was held at a time.
 */
export class ScratchFile {
  readonly path: string
  readonly #handle: FileHandle
  /** Gaps between places in use, by rising begin; none borders on another. */
  #gaps: ScratchPlace[] = []
  #end = 0

  /** Makes the file, in the place of one that a killed run left. Errors: as `writeError`. */
  static async create(path: string): Promise<ScratchFile> {
    try {
      return new ScratchFile(path, await open(path, 'w+'))
    } catch (cause) {
      throw writeError(cause, path)
    }
  }

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  /** The size that the file has come to. */
  get bytes(): number {
    return this.#end
  }

  /** Puts values into the file. Errors: RunError where the disk is full or fails. */
  async write(values: Float32Array): Promise<ScratchPlace> {
    const part = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    const place = this.#take(part.length)
    try {
      for (let done = 0; done < part.length; ) {
        done += (await this.#handle.write(part, done, part.length - done, place.begin + done)).bytesWritten
      }
      return place
    } catch (cause) {
      this.release(place)
      throw writeError(cause, this.path)
    }
  }

  /** The values of a place. Errors: RunError where they cannot be read. */
  async read({ begin, bytes }: ScratchPlace): Promise<Float32Array> {
    const part = new Uint8Array(bytes)
    for (let done = 0; done < bytes; ) {
      const { bytesRead } = await this.#handle.read(part, done, bytes - done, begin + done)
      if (bytesRead === 0) {
        throw new RunError(
          `Cannot read ${this.path}: it ends at byte ${begin + done}, expected ${begin + bytes}; something has cut it off.`,
        )
      }
      done += bytesRead
    }
    return new Float32Array(part.buffer)
  }

  /** Gives a place back. */
  release(place: ScratchPlace): void {
    const merged: ScratchPlace[] = []
    for (const gap of [...this.#gaps, place].sort((a, b) => a.begin - b.begin)) {
      const last = merged[merged.length - 1]
      if (last && last.begin + last.bytes === gap.begin) merged[merged.length - 1] = { begin: last.begin, bytes: last.bytes + gap.bytes }
      else merged.push(gap)
    }
    this.#gaps = merged
  }

  /** Closes and removes the file. */
  async close(): Promise<void> {
    await this.#handle.close()
    await rm(this.path, { force: true })
  }

  /** The first gap that is large enough, or the end. */
  #take(bytes: number): ScratchPlace {
    const index = this.#gaps.findIndex((gap) => gap.bytes >= bytes)
    if (index >= 0) {
      const { begin, bytes: room } = this.#gaps[index]
      this.#gaps.splice(index, 1, ...(room > bytes ? [{ begin: begin + bytes, bytes: room - bytes }] : []))
      return { begin, bytes }
    }
    const last = this.#gaps[this.#gaps.length - 1]
    const begin = last && last.begin + last.bytes === this.#end ? last.begin : this.#end
    if (begin < this.#end) this.#gaps.pop()
    this.#end = begin + bytes
    return { begin, bytes }
  }
}
