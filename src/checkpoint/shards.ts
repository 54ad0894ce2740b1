import { DTYPE_BYTES, elementCount } from '../numerics/dtype.ts'
import type { TensorInfo } from './tensor.ts'

/** The only weight file of a checkpoint that has one. */
export const SINGLE_FILE = 'model.safetensors'
/** The file that lists which shard holds which tensor. */
export const INDEX_FILE = 'model.safetensors.index.json'

/** One weight file: its name, what it holds, and how many bytes of tensors that is. */
export interface Shard {
  file: string
  tensors: TensorInfo[]
  bytes: number
}

/** model.safetensors.index.json: the sum of tensor bytes, and tensor name to file. */
export interface ShardIndex {
  metadata: { total_size: number }
  weight_map: Record<string, string>
}

/** The stored size of a tensor in bytes. */
export function tensorBytes({ dtype, shape }: TensorInfo): number {
  return elementCount(shape) * DTYPE_BYTES[dtype]
}

/** The stored size of several tensors in bytes. */
export function totalBytes(tensors: readonly TensorInfo[]): number {
  return tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
}

/**
 * Deals tensors to weight files in the order given, beginning a new one where the next tensor would exceed `maxShardBytes` (of tensor data;
 * 5 GB is the hub's recommendation). A larger tensor has a file to itself. One file is model.safetensors, several are
 * model-0000i-of-0000n.safetensors.
 */
export function planShards(tensors: readonly TensorInfo[], maxShardBytes = 5e9): Shard[] {
  const parts: Omit<Shard, 'file'>[] = [{ tensors: [], bytes: 0 }]
  for (const tensor of tensors) {
    const size = tensorBytes(tensor)
    let last = parts[parts.length - 1]
    if (last.tensors.length > 0 && last.bytes + size > maxShardBytes) {
      last = { tensors: [], bytes: 0 }
      parts.push(last)
    }
    last.tensors.push(tensor)
    last.bytes += size
  }
  return parts.map((part, i) => ({ file: shardName(i + 1, parts.length), ...part }))
}

function shardName(number: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, '0')
  return count === 1 ? SINGLE_FILE : `model-${digits(number)}-of-${digits(count)}.safetensors`
}

/** The index of several shards; null for a single file, which needs none. */
export function shardIndex(shards: readonly Shard[]): ShardIndex | null {
  if (shards.length < 2) return null
  const names = shards.flatMap(({ file, tensors }) => tensors.map(({ name }): [string, string] => [name, file]))
  return { metadata: { total_size: shards.reduce((sum, { bytes }) => sum + bytes, 0) }, weight_map: Object.fromEntries(names) }
}
