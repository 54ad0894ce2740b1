import { readdir } from 'node:fs/promises'
import { endianness } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { closest } from 'fastest-levenshtein'
import { decodeFloats, isStoredFloat } from '../numerics/float-dtype.ts'
import { CheckpointError, RunError, UserError } from '../util/errors.ts'
import type { SpareMemory } from '../util/spare-memory.ts'
import { type ByteSource, openLocal, type RemoteWeights } from './byte-source.ts'
import { refuseForeignLinks } from './foreign-links.ts'
import { isJsonObject, readJsonFile } from './json-file.ts'
import { nameSays } from './name-hint.ts'
import { HEADER_PREFIX, headerLength, parseHeader, type SafetensorsEntry } from './safetensors.ts'
import { INDEX_FILE, SINGLE_FILE } from './shards.ts'
import type { StoredTensorInfo, TensorReader } from './tensor-reader.ts'

/** Bytes of a chunk: large enough that calls do not count, small enough that it is still in a cache when it is written: of 8 MB that took three times as long. */
const CHUNK = 1 << 20
/** How many buffers of chunks are kept for later: what one tensor is read with. */
const SPARE = 3

/**
 * Opens the safetensors checkpoint in a folder: model.safetensors, or the shards that model.safetensors.index.json lists. Reads headers
 * only. Errors: as `refuseForeignLinks`; CheckpointError for a folder without safetensors, a shard that is missing or
 * damaged, an index that leaves the folder, a tensor that two shards hold or that the index promises and the shard lacks. `remote`: where
 * the shards are, if not in the folder; the index is there all the same.
 */
export async function openCheckpoint(dir: string, remote: RemoteWeights | null = null): Promise<CheckpointReader> {
  if (endianness() !== 'LE')
    throw new CheckpointError(`Cannot read ${dir}: this machine is big endian, safetensors files are not.`, { file: dir })
  await refuseForeignLinks(dir)
  const files = [...(await listFolder(dir)), ...(remote?.names ?? [])]
  const openFile = remote?.open ?? ((file: string) => openLocal(join(dir, file)))
  if (files.includes(SINGLE_FILE)) return openShards(dir, [SINGLE_FILE], new Map(), openFile)
  if (!files.includes(INDEX_FILE)) throw noSafetensors(dir, files)
  const weightMap = await readWeightMap(join(dir, INDEX_FILE))
  return openShards(dir, [...new Set(weightMap.values())].sort(), weightMap, openFile)
}

async function listFolder(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const problem = code === 'ENOENT' ? 'there is no such folder' : code === 'ENOTDIR' ? 'it is not a folder' : message
    throw new CheckpointError(`Cannot open the checkpoint ${dir}: ${problem}.`, { file: dir }, { cause })
  }
}

function noSafetensors(dir: string, files: readonly string[]): CheckpointError {
  const others = files.filter((file) => file.endsWith('.safetensors'))
  const pickles = files.filter((file) => /\.(bin|pt|pth|ckpt)$/.test(file))
  const llama = files.filter((file) => file.endsWith('.gguf'))
  let found = 'found neither'
  if (others.length > 0) found = `found only ${shortList(others)}`
  else if (pickles.length > 0) found = `found only pickles (${shortList(pickles)}), which can run code; convert them to safetensors first`
  else if (llama.length > 0) found = `found only ${shortList(llama)}`
  const said = nameSays(llama[0] ?? basename(resolve(dir)))
  const hint = said === null ? '' : `; ${said}`
  return new CheckpointError(`Cannot open the checkpoint ${dir}: ${found}, expected ${SINGLE_FILE} or ${INDEX_FILE}${hint}.`, { file: dir })
}

function shortList(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
}

/** Tensor name to shard. A name with a path in it could open any file of the machine. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const { weight_map: map } = await readJsonFile(path)
  if (!isJsonObject(map))
    throw new CheckpointError(`Cannot read ${path}: it has no weight_map, expected tensor names to shards.`, { file: path })
  const weightMap = new Map<string, string>()
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[^/\\:\0]+\.safetensors$/.test(file)) {
      const found = JSON.stringify(file)?.slice(0, 200)
      const message = `Cannot read ${path}: its shard for ${tensor} is ${found}, expected the name of a .safetensors file in the same folder.`
      throw new CheckpointError(message, { file: path, tensor })
    }
    weightMap.set(tensor, file)
  }
  return weightMap
}

/** Opens a shard by its name; null where it is not a file. */
type OpenFile = (file: string) => Promise<ByteSource | null>

async function openShards(
  dir: string,
  files: readonly string[],
  weightMap: ReadonlyMap<string, string>,
  openFile: OpenFile,
): Promise<CheckpointReader> {
  const handles = new Map<string, ByteSource>()
  const tensors = new Map<string, StoredTensorInfo>()
  try {
    for (const file of files) {
      const handle = await openShard(dir, file, weightMap, openFile)
      handles.set(file, handle)
      for (const entry of await readEntries(handle, join(dir, file))) {
        const other = tensors.get(entry.name)
        if (other) throw tensorError(dir, entry.name, file, `it is in ${other.file} and in ${file}, expected one shard to hold it`)
        tensors.set(entry.name, { ...entry, file })
      }
    }
    for (const [tensor, file] of weightMap) {
      if (tensors.get(tensor)?.file !== file) {
        const where = tensors.get(tensor)?.file ?? 'no shard'
        throw tensorError(dir, tensor, file, `${INDEX_FILE} says ${file}, but ${where} holds it`)
      }
    }
  } catch (error) {
    await Promise.all([...handles.values()].map((handle) => handle.close()))
    throw error
  }
  return new CheckpointReader(dir, tensors, handles)
}

async function openShard(dir: string, file: string, weightMap: ReadonlyMap<string, string>, openFile: OpenFile): Promise<ByteSource> {
  const path = join(dir, file)
  let handle: ByteSource | null
  try {
    handle = await openFile(file)
  } catch (cause) {
    if (cause instanceof UserError || cause instanceof RunError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const tensor = [...weightMap].find(([, shard]) => shard === file)?.[0]
    const problem = code === 'ENOENT' ? `the shard is missing, expected it to hold ${tensor ?? 'the tensors'}` : message
    throw new CheckpointError(`Cannot open ${path}: ${problem}.`, { file: path, ...(tensor === undefined ? {} : { tensor }) }, { cause })
  }
  if (handle) return handle
  throw new CheckpointError(`Cannot open ${path}: it is not a file.`, { file: path })
}

async function readEntries(handle: ByteSource, path: string): Promise<SafetensorsEntry[]> {
  const { size } = handle
  const prefix = new Uint8Array(Math.min(HEADER_PREFIX, size))
  await readFully(handle, prefix, 0, path)
  const json = new Uint8Array(headerLength(prefix, size, path))
  await readFully(handle, json, HEADER_PREFIX, path)
  return parseHeader(json, size, path).entries
}

async function readFully(handle: ByteSource, into: Uint8Array, position: number, path: string, tensor?: string): Promise<void> {
  const failed = (at: number, problem: string, cause?: unknown) =>
    new RunError(`Cannot read ${tensor ?? 'the header'} of ${path}: at byte ${at} ${problem}.`, { cause })
  for (let done = 0; done < into.length; ) {
    const bytesRead = await handle.read(done === 0 ? into : into.subarray(done), position + done).catch((cause: unknown) => {
      if (cause instanceof RunError || cause instanceof UserError) throw cause
      throw failed(position + done, cause instanceof Error ? cause.message : String(cause), cause)
    })
    if (bytesRead === 0)
      throw failed(position + done, `the file ends, expected ${position + into.length} bytes; it became shorter since it was opened`)
    done += bytesRead
  }
}

function tensorError(dir: string, tensor: string, file: string, problem: string): CheckpointError {
  return new CheckpointError(`Cannot read ${tensor} of ${dir}: ${problem}.`, { file: join(dir, file), tensor })
}

/** A checkpoint whose headers are read and whose files are open; every read goes to the file. Made by `openCheckpoint`. */
export class CheckpointReader implements TensorReader {
  readonly dir: string
  readonly tensors: ReadonlyMap<string, StoredTensorInfo>
  readonly rewritten: ReadonlySet<string> = new Set()
  readonly pieces: ReadonlyMap<string, StoredTensorInfo> = new Map()
  readonly #handles: ReadonlyMap<string, ByteSource>
  /** Buffers of chunks that are over: memory that is new costs more than what is read into it, a second for each gigabyte. */
  readonly #spare: Uint8Array[] = []

  constructor(dir: string, tensors: ReadonlyMap<string, StoredTensorInfo>, handles: ReadonlyMap<string, ByteSource>) {
    this.dir = dir
    this.tensors = tensors
    this.#handles = handles
  }

  /** Sizes of the files in bytes, by name. */
  get files(): ReadonlyMap<string, number> {
    return new Map([...this.#handles].map(([name, { size }]) => [name, size]))
  }

  has(name: string): boolean {
    return this.tensors.has(name)
  }

  info(name: string): StoredTensorInfo {
    const found = this.tensors.get(name)
    if (found) return found
    const hint = this.tensors.size > 0 ? `the nearest name is ${closest(name, [...this.tensors.keys()])}` : 'it has no tensors'
    throw new CheckpointError(`Cannot find the tensor ${name} in ${this.dir}: ${hint}.`, { file: this.dir, tensor: name })
  }

  async read(name: string, memory?: SpareMemory): Promise<Uint8Array> {
    const info = this.info(name)
    const bytes = info.end - info.begin
    return this.#readInto(new Uint8Array(memory?.take(bytes) ?? new ArrayBuffer(bytes)), info, 0)
  }

  async readRange(name: string, begin: number, end: number): Promise<Uint8Array> {
    const info = this.info(name)
    const size = info.end - info.begin
    if (!(begin >= 0 && begin <= end && end <= size))
      throw new RangeError(`Cannot read bytes ${begin} to ${end} of ${name}: it has ${size}`)
    return this.#readInto(new Uint8Array(end - begin), info, begin)
  }

  async *readChunks(name: string): AsyncGenerator<Uint8Array> {
    const info = this.info(name)
    const size = info.end - info.begin
    const buffers = Array.from({ length: Math.min(SPARE, Math.ceil(size / CHUNK)) }, () => this.#takeBuffer(Math.min(size, CHUNK)))
    // One is read while whoever asks looks at the second and is still busy with the first.
    const read = (at: number) => this.#readInto(buffers[(at / CHUNK) % SPARE].subarray(0, Math.min(CHUNK, size - at)), info, at)
    let ahead = size > 0 ? read(0) : null
    try {
      for (let at = 0; ahead; at += CHUNK) {
        const chunk: Uint8Array = await ahead
        ahead = at + CHUNK < size ? read(at + CHUNK) : null
        // Heard of when it is waited for.
        ahead?.catch(() => {})
        yield chunk
      }
    } finally {
      // Nothing is read into them any more.
      await ahead?.catch(() => {})
      for (const buffer of buffers) this.#giveBack(buffer)
    }
  }

  async readFloats(name: string): Promise<Float32Array> {
    const { dtype, file } = this.info(name)
    if (!isStoredFloat(dtype)) throw tensorError(this.dir, name, file, `its type is ${dtype}, expected F32, F16, BF16 or F8_E4M3`)
    return decodeFloats(await this.read(name), dtype)
  }

  async #readInto(bytes: Uint8Array, info: StoredTensorInfo, begin: number): Promise<Uint8Array> {
    const handle = this.#handles.get(info.file)
    if (!handle) throw new Error(`Cannot read ${info.name}: ${info.file} is not open`)
    await readFully(handle, bytes, info.begin + begin, join(this.dir, info.file), info.name)
    return bytes
  }

  #takeBuffer(bytes: number): Uint8Array {
    return (bytes === CHUNK && this.#spare.pop()) || new Uint8Array(bytes)
  }

  #giveBack(buffer: Uint8Array): void {
    if (buffer.length === CHUNK && this.#spare.length < SPARE) this.#spare.push(buffer)
  }

  async requireUnchanged(): Promise<void> {
    for (const [name, handle] of this.#handles) {
      if ((await handle.isUnchanged?.()) !== false) continue
      throw new RunError(
        `Cannot go on with ${join(this.dir, name)}: it was changed since it was opened, expected the same bytes from the first layer to the last. ` +
          'Put the old file back, or run it again with --restart.',
      )
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#handles.values()].map((handle) => handle.close()))
  }
}
