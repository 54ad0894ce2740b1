import type { SpareMemory } from '../util/spare-memory.ts'
import type { SafetensorsEntry } from './safetensors.ts'

/** A tensor of an open checkpoint: `file` is its shard's name, `begin` and `end` its bytes in that file. */
export interface StoredTensorInfo extends SafetensorsEntry {
  file: string
}

/** Tensors of a checkpoint by name: as they are stored (`CheckpointReader`), one expert at a time (`PiecewiseReader`), or as a
 * modifier rewrites them (`RewritingReader`). */
export interface TensorReader {
  /** The folder. */
  readonly dir: string
  readonly tensors: ReadonlyMap<string, StoredTensorInfo>
  /** Names of the tensors that are not as they are stored. */
  readonly rewritten: ReadonlySet<string>
  /** Names of the tensors that are cut from a stored one, with that one. */
  readonly pieces: ReadonlyMap<string, StoredTensorInfo>
  has(name: string): boolean
  /** Errors: CheckpointError for a name the checkpoint lacks, with the nearest one it has. */
  info(name: string): StoredTensorInfo
  /**
   * The bytes of a tensor in its stored type; they may lie in `memory`. Errors: CheckpointError for an unknown name; RunError for a file that
   * cannot be read.
   */
  read(name: string, memory?: SpareMemory): Promise<Uint8Array>
  /** Bytes `begin` (inclusive) to `end` of a tensor, counted from its start. Errors: as `read`; RangeError outside the tensor. */
  readRange(name: string, begin: number, end: number): Promise<Uint8Array>
  /**
   * The bytes of a tensor in consecutive chunks of some megabytes, so that one of any size can be copied. A chunk is good until the one
   * after the next is asked for, or the end: then its memory is read into again. Errors: as `read`.
   */
  readChunks(name: string): AsyncGenerator<Uint8Array>
  /**
   * A float tensor (F32, F16, BF16, F8_E4M3) as float32; a rewritten matrix before it is rounded to its stored type.
   * Errors: as `read`; CheckpointError for other types.
   */
  readFloats(name: string): Promise<Float32Array>
  /** Errors: RunError naming a file that was changed since it was opened. */
  requireUnchanged(): Promise<void>
  /** Closes the files. */
  close(): Promise<void>
}
