import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CONFIG_FILE } from './config.ts'
import { EXCHANGE_FILES } from './exchange-config.ts'
import { isJsonObject, readJsonFile } from './json-file.ts'
import { INDEX_FILE, SINGLE_FILE } from './shards.ts'

/** What a run did, written beside the checkpoint. */
export const REPORT_FILE = 'llmpress-report.json'

/** The names that hubs and `planShards` give to the weights of one model. */
const SHARD_NAME = /^model-\d{5}-of-\d{5}\.safetensors$/

/** Whether a folder with these entries holds a checkpoint, so that replacing it takes nothing else. */
export function looksLikeCheckpoint(entries: readonly string[]): boolean {
  return entries.includes(CONFIG_FILE) || entries.includes(REPORT_FILE)
}

/**
 * Removes the config.json and the weights of the checkpoint in a folder: model.safetensors, its shards by name or by index, the index, and
 * what else says how they are compressed. All
 * else stays, other .safetensors files too. `sync` makes a removal durable: config.json goes first, so that what an interruption leaves
 * does not look whole. Errors: those of the file system.
 */
export async function removeOldCheckpoint(dir: string, sync: (dir: string) => Promise<void>): Promise<void> {
  const entries = await readdir(dir)
  const listed = entries.includes(INDEX_FILE) ? await indexedFiles(join(dir, INDEX_FILE)) : new Set()
  await rm(join(dir, CONFIG_FILE), { force: true })
  await sync(dir)
  const old = entries.filter(
    (name) => name === SINGLE_FILE || name === INDEX_FILE || EXCHANGE_FILES.includes(name) || SHARD_NAME.test(name) || listed.has(name),
  )
  for (const name of old) if (!(await lstat(join(dir, name))).isDirectory()) await rm(join(dir, name))
}

/** Weight files that an index names; none where it cannot be read, for a damaged checkpoint may be replaced too. */
async function indexedFiles(path: string): Promise<Set<unknown>> {
  try {
    const { weight_map: map } = await readJsonFile(path)
    const files = isJsonObject(map) ? Object.values(map) : []
    return new Set(files.filter((file) => typeof file === 'string' && file.endsWith('.safetensors')))
  } catch {
    return new Set()
  }
}
