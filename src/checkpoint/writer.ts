import { open, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RunError } from '../util/errors.ts'
import { CONFIG_FILE } from './config.ts'
import { removeOldCheckpoint } from './old-checkpoint.ts'
import { type ClaimedOutput, claimOutput, STAGING } from './output-folder.ts'
import { ShardFile } from './shard-file.ts'
import { INDEX_FILE, type Shard, shardIndex } from './shards.ts'
import type { TensorData, TensorInfo } from './tensor.ts'
import { writeError } from './write-error.ts'

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
  /** Sizes in bytes of the files beside the shards that are written, by name. */
  readonly #others = new Map<string, number>()
  readonly #overwrite: boolean
  readonly #claim: ClaimedOutput
  #state: 'open' | 'moving' | 'finished' | 'aborted' = 'open'

  /**
   * Prepares a folder for the tensors of `shards`. It must not exist, be empty or hold only what a killed run left in `.llmpress`; with
   * `overwrite` it may hold a checkpoint, which stays until `finish`. Errors: UserError when it is not such a folder or not writable.
   */
  static async open(
    output: string,
    shards: readonly Shard[],
    { overwrite = false }: { overwrite?: boolean } = {},
  ): Promise<CheckpointWriter> {
    const claim = await claimOutput(output, overwrite)
    const writer = new CheckpointWriter(output, shards, overwrite, claim)
    try {
      await writer.#writeIndex()
      return writer
    } catch (error) {
      await writer.abort()
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

  /** Name and size of every file that is whole on disk by now, in bytes: shards with all their tensors, the index, other files. */
  files(): { name: string; bytes: number }[] {
    const shards = this.#files.flatMap(({ name, sealedBytes }) => (sealedBytes === null ? [] : [{ name, bytes: sealedBytes }]))
    return [...shards, ...[...this.#others].map(([name, bytes]) => ({ name, bytes }))]
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
    try {
      if (this.#overwrite) await removeOldCheckpoint(this.#output, syncFolder)
      await this.#publish()
    } catch (cause) {
      await this.#claim.release().catch(() => {})
      const staging = join(this.#output, STAGING)
      const kept = `The new checkpoint is whole: files not yet moved to ${this.#output} lie in ${staging}; move them up, config.json last.`
      throw new RunError(`${writeError(cause, this.#output).message} ${kept} Another run into this folder would remove them.`, { cause })
    }
    this.#state = 'finished'
  }

  /**
   * Removes what was written, and the output folder if this writer made it. Does nothing after a first `abort` or a `finish` that got as far
   * as moving files.
   */
  async abort(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'aborted'
    await Promise.all(this.#files.map((file) => file.close()))
    await this.#claim.discard()
  }

  async #writeIndex(): Promise<void> {
    if (this.#index !== null) await this.#writeOther(INDEX_FILE, this.#index)
  }

  async #writeOther(name: string, content: Uint8Array | string): Promise<void> {
    await writeDurably(join(this.#output, STAGING, name), content)
    this.#others.set(name, Buffer.byteLength(content))
  }

  async #publish(): Promise<void> {
    const others = [...this.#others.keys()].filter((name) => name !== CONFIG_FILE)
    const move = (name: string) => rename(join(this.#output, STAGING, name), join(this.#output, name))
    for (const name of [...this.#shards.map(({ file }) => file), ...others]) await move(name)
    await syncFolder(this.#output)
    if (this.#others.has(CONFIG_FILE)) await move(CONFIG_FILE)
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

async function writeDurably(path: string, content: Uint8Array | string): Promise<void> {
  try {
    const handle = await open(path, 'w')
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw writeError(cause, path)
  }
}

/** Makes renames in a folder durable. Windows cannot open folders and needs none of this. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(dir)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
