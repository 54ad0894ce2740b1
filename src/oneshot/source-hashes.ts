import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CONFIG_FILE } from '../checkpoint/config.ts'
import { sha256OfFiles } from '../checkpoint/file-hash.ts'
import type { WrittenFile } from '../checkpoint/writer.ts'
import type { OpenModel } from '../models/open-model.ts'

/** Names of the files with a model's tensors, sorted. */
export function shardNames({ reader }: Pick<OpenModel, 'reader'>): string[] {
  return [...new Set([...reader.tensors.values()].map(({ file }) => file))].sort()
}

/**
 * Does `work` while a thread hashes config.json and the shards of a model, which the run reads anyway: it costs a processor's time alone, a
 * second for 0.8 GB or more. Errors: those of `work`; RunError where a file cannot be read, or was changed meanwhile; the signal's reason.
 */
export async function withSourceHashes<T>(
  source: OpenModel,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly sources: WrittenFile[] }> {
  const over = new AbortController()
  const hashing = hashSource(source, AbortSignal.any([signal, over.signal]))
  // Heard of when it is waited for.
  hashing.catch(() => {})
  try {
    const result = await work()
    const sources = await hashing
    await source.reader.requireUnchanged()
    return { result, sources }
  } finally {
    over.abort()
    await hashing.catch(() => {})
  }
}

/** Sizes and SHA-256 of a model's config.json and shards. Errors: RunError where a file cannot be read; the signal's reason. */
export async function hashSource(source: OpenModel, signal: AbortSignal): Promise<WrittenFile[]> {
  const names = [CONFIG_FILE, ...shardNames(source)]
  const paths = names.map((name) => join(source.path, name))
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size))
  const hashes = await sha256OfFiles(paths, signal)
  return names.map((name, i) => ({ name, bytes: sizes[i], sha256: hashes[i] }))
}
