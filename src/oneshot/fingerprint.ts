import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { packageVersion } from '../util/package-version.ts'
import type { Plan } from './plan.ts'
import { shardNames } from './source-hashes.ts'

/** What the bytes of a result depend on, part by part, as hashes: a run goes on with another's work only where all are equal. */
export interface Fingerprint {
  readonly version: string
  readonly model: string
  readonly recipe: string
  readonly data: string
}

/**
 * The fingerprint of a run. Of the model's files it takes config.json's content, what the headers of the weights say, and
 * their name, size and time of change: hashing them first would cost as much as reading the model once more.
 */
export async function fingerprintOf(plan: Plan, rows: readonly Int32Array[] | null): Promise<Fingerprint> {
  const { source, recipe, config, shards } = plan
  const files = shardNames(source)
  // What the headers say.
  const tensors = [...source.reader.tensors.values()]
  const stats = await Promise.all(
    files.map(async (file) => {
      const { size, mtimeMs } = await stat(join(source.path, file))
      return [file, size, mtimeMs]
    }),
  )
  return {
    version: packageVersion(),
    model: hash([JSON.stringify([source.config, stats, tensors])]),
    // What is written follows from it, so that a default that changes counts as well.
    recipe: hash([recipe.text, JSON.stringify([config, shards])]),
    data:
      rows === null ? 'none' : hash(rows.flatMap((row) => [`${row.length} `, new Uint8Array(row.buffer, row.byteOffset, row.byteLength)])),
  }
}

/** SHA-256 in hexadecimal. */
function hash(parts: Iterable<string | Uint8Array>): string {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(part)
  return sum.digest('hex')
}
