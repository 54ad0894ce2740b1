import { readdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RunError } from '../util/errors.ts'
import { CONFIG_FILE } from './config.ts'
import { syncFolder, writeDurably } from './durable.ts'
import { sha256 } from './file-hash.ts'
import { removeOldCheckpoint } from './old-checkpoint.ts'
import { type ClaimedOutput, claimOutput } from './output-folder.ts'
import { ShardFile } from './shard-file.ts'
import { INDEX_FILE, type Shard, shardIndex } from './shards.ts'
import { STAGING } from './staging.ts'
import type { TensorData, TensorInfo } from './tensor.ts'
import { writeError } from './write-error.ts'

/** What a stopped run left in the staging folder that is to be gone on with. */
export interface Leftover {
  /** Names of the tensors that are whole on disk. */
  readonly tensors: ReadonlySet<string>
  /** Names of other files to keep. */
  readonly files: readonly string[]
}

/** How a checkpoint is opened for writing. */
export interface WriterOptions {
  /** Replaces the checkpoint in the folder, which stays until `finish`. */
  readonly overwrite?: boolean
  /** Looks through the staging folder once it is this run's, and says what to go on with; null: nothing, it is cleared. */
  readonly leftover?: (staging: string) => Promise<Leftover | null>
}

/** A file of a checkpoint: its name, size in bytes and SHA-256 in hexadecimal. */
export interface WrittenFile {
  name: string
  bytes: number
  sha256: string
}

/**
 * Writes a checkpoint that is there whole or not at all. Files are made in OUTPUT/.llmpress and moved up by `finish`, config.json last:
 * a folder without it never looks like a model. Tensors may come in any order and at the same time.
 */
export class CheckpointWriter {
  readonly #output: string
  readonly #shards: readonly Shard[]
  readonly #files: readonly ShardFile[]
  readonly #fileOf: ReadonlyMap<string, ShardFile>
  /** model.safetensors.index.json, null for a checkpoint of one file. */
  readonly #index: string | null
  /** The files beside the shards that are written, by name. */
  readonly #others = new Map<string, WrittenFile>()
  readonly #overwrite: boolean
  readonly #claim: ClaimedOutput
  /** Names of the files that a stopped run was moving up. */
  #left: readonly string[] | null = null
  #state: 'open' | 'moving' | 'finished' | 'aborted' = 'open'

  /**
   * Prepares a folder for the tensors of `shards`. It must not exist, be empty or hold only what a stopped run left in `.llmpress`; with
   * `overwrite` it may hold a checkpoint, which stays until `finish`. Errors: UserError when it is not such a folder or not writable;
   * RunError when what a stopped run left is not what `leftover` says; what `leftover` throws. The leftovers stay then.
   */
  static async open(
    output: string,
    shards: readonly Shard[],
    { overwrite = false, leftover = async () => null }: WriterOptions = {},
  ): Promise<CheckpointWriter> {
    const claim = await claimOutput(output, overwrite)
    let left: Leftover | null = null
    try {
      left = await leftover(join(output, STAGING))
      if (left && claim.publishing) {
        const writer = new CheckpointWriter(output, shards, overwrite, claim)
        writer.#left = claim.publishing
        return writer
      }
      const kept = left && shards.filter(({ tensors }) => tensors.some(({ name }) => left?.tensors.has(name)))
      await claim.clear(new Set([...(left?.files ?? []), ...(kept ?? []).map(({ file }) => file)]))
    } catch (error) {
      // What the stopped run left may still be gone on with in another way.
      await claim.release()
      throw error
    }
    const writer = new CheckpointWriter(output, shards, overwrite, claim)
    try {
      if (left) for (const file of writer.#files) await file.resume(left.tensors)
      await writer.#writeIndex()
      return writer
    } catch (error) {
      await writer.abort({ keep: left !== null })
      throw error
    }
  }

  private constructor(output: string, shards: readonly Shard[], overwrite: boolean, claim: ClaimedOutput) {
    this.#output = output
    this.#shards = shards
    this.#overwrite = overwrite
    this.#claim = claim
    const index = shardIndex(shards)
    this.#index = index && `${JSON.stringify(index, null, 2)}\n`
    this.#files = shards.map((shard) => new ShardFile(join(output, STAGING), shard))
    this.#fileOf = new Map(shards.flatMap(({ tensors }, i) => tensors.map(({ name }): [string, ShardFile] => [name, this.#files[i]])))
  }

  /** The folder that files are made in until the checkpoint is whole. */
  get staging(): string {
    return join(this.#output, STAGING)
  }

  /** True where the run that was stopped was moving its files up: all that is left to do is `publish`. */
  get isPublishing(): boolean {
    return this.#left !== null
  }

  /** Errors: RunError where the output folder was removed, or another run has taken it. */
  requireHeld(): Promise<void> {
    return this.#claim.requireHeld()
  }

  /** Makes the tensors written so far survive a crash. Errors: RunError when the disk fails, or the folder was removed. */
  async sync(): Promise<void> {
    this.#assertOpen()
    try {
      for (const file of this.#files) await file.sync()
      await syncFolder(this.staging)
    } catch (cause) {
      throw writeError(cause, this.#output)
    }
  }

  /** Writes one tensor. Errors: as `writeChunks`. */
  async write(tensor: TensorData): Promise<void> {
    await this.writeChunks(tensor, [tensor.bytes])
  }

  /**
   * Writes one tensor from consecutive chunks, for tensors too large to hold. Errors: RunError when name, type, shape or length are not
   * those planned, the tensor was already written, or the disk is full; UserError when writing is not allowed.
   */
  async writeChunks(info: TensorInfo, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    this.#assertOpen()
    const file = this.#fileOf.get(info.name)
    if (!file) throw new RunError(`Cannot write ${info.name} to ${this.#output}: the plan has no tensor of that name.`)
    await file.write(info, chunks)
  }

  /** Writes a file beside the tensors, such as config.json or the tokenizer's. `name` has no folders. Errors: as `writeChunks`. */
  async writeFile(name: string, content: Uint8Array | string): Promise<void> {
    this.#assertOpen()
    const taken = name === INDEX_FILE || this.#shards.some(({ file }) => file === name)
    if (taken || name === STAGING || name !== basename(name) || /^\.{0,2}$|\\/.test(name)) {
      throw new RunError(`Cannot write ${JSON.stringify(name)} to ${this.#output}: expected a file name of its own, without folders.`)
    }
    await this.#writeOther(name, content)
  }

  /** Every file that is whole on disk by now: shards with all their tensors, the index, other files. Errors: as `sha256OfFile`. */
  async files(): Promise<WrittenFile[]> {
    const shards: WrittenFile[] = []
    for (const file of this.#files) {
      const sealed = await file.sealed()
      if (sealed) shards.push({ name: file.name, ...sealed })
    }
    return [...shards, ...this.#others.values()]
  }

  /**
   * Moves everything into the output folder. With `overwrite` the old config.json goes first, then the old weights. Errors: RunError naming
   * the tensors that were never written (nothing is moved then), or when the disk fails. Once files are moved or the old ones removed, an
   * error says where the new ones lie, and `abort` leaves them: they may be all there is.
   */
  async finish(): Promise<void> {
    this.#assertOpen()
    this.#assertComplete()
    for (const file of this.#files) await file.finish()
    this.#state = 'moving'
    const names = [...this.#shards.map(({ file }) => file), ...this.#others.keys()]
    await this.#publish(names, async () => {
      if (this.#overwrite) await removeOldCheckpoint(this.#output, syncFolder)
      await this.#claim.beginPublishing(names)
    })
  }

  /** Goes on where a stopped run was moving its files up. Errors: as `finish`. */
  async publish(): Promise<void> {
    if (!this.#left) throw new RangeError('Cannot publish: no stopped run was moving files, expected finish()')
    this.#state = 'moving'
    await this.#publish(this.#left, async () => {})
  }

  async #publish(names: readonly string[], prepare: () => Promise<void>): Promise<void> {
    try {
      await prepare()
      await this.#moveUp(names)
    } catch (cause) {
      await this.#claim.release().catch(() => {})
      const staging = join(this.#output, STAGING)
      const kept = `The new checkpoint is whole: files not yet moved to ${this.#output} lie in ${staging}; move them up, config.json last.`
      throw new RunError(`${writeError(cause, this.#output).message} ${kept} Another run into this folder would remove them.`, { cause })
    }
    this.#state = 'finished'
  }

  /**
   * Removes what was written, and the output folder if this writer made it; with `keep` it leaves all for a run that goes on. Does nothing
   * after a first `abort` or a `finish` that got as far as moving files.
   */
  async abort({ keep = false }: { keep?: boolean } = {}): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'aborted'
    await Promise.all(this.#files.map((file) => file.abandon()))
    await (keep ? this.#claim.release() : this.#claim.discard())
  }

  async #writeIndex(): Promise<void> {
    if (this.#index !== null) await this.#writeOther(INDEX_FILE, this.#index)
  }

  async #writeOther(name: string, content: Uint8Array | string): Promise<void> {
    await writeDurably(join(this.staging, name), content)
    this.#others.set(name, { name, bytes: Buffer.byteLength(content), sha256: sha256(content) })
  }

  /** Those that are still below, config.json last. */
  async #moveUp(names: readonly string[]): Promise<void> {
    const below = new Set(await readdir(this.staging))
    const move = async (name: string) => {
      if (below.has(name)) await rename(join(this.staging, name), join(this.#output, name))
    }
    for (const name of names) if (name !== CONFIG_FILE) await move(name)
    await syncFolder(this.#output)
    if (names.includes(CONFIG_FILE)) await move(CONFIG_FILE)
    await syncFolder(this.#output)
    await this.#claim.discard()
  }

  #assertOpen(): void {
    if (this.#state === 'open') return
    const state = this.#state === 'moving' ? 'being moved' : `already ${this.#state}`
    throw new RunError(`Cannot write to ${this.#output}: the checkpoint is ${state}.`)
  }

  #assertComplete(): void {
    const missing = this.#files.flatMap((file) => [...file.missing])
    if (missing.length === 0) return
    const shown = missing.slice(0, 5).join(', ')
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : ''
    throw new RunError(`Cannot finish the checkpoint ${this.#output}: ${missing.length} planned tensors were not written: ${shown}${more}.`)
  }
}
