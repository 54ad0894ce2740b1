import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { RemoteWeights } from '../checkpoint/byte-source.ts'
import { isCompanion } from '../checkpoint/companion-names.ts'
import { CONFIG_FILE, readConfig } from '../checkpoint/config.ts'
import { isJsonObject, readJsonFile } from '../checkpoint/json-file.ts'
import { nameSays } from '../checkpoint/name-hint.ts'
import { INDEX_FILE, SINGLE_FILE } from '../checkpoint/shards.ts'
import { CheckpointError, RunError, UserError } from '../util/errors.ts'
import { nearest } from '../util/nearest.ts'
import type { HubRepo } from './open-repo.ts'
import { parseRepoId } from './repo-id.ts'
import type { Patience } from './retrying-fetch.ts'
import { type HubOptions, hubSettings } from './settings.ts'

/** A model on this machine. */
export interface ModelFolder {
  readonly path: string
  /** For output folders and tables: the last part of its name. */
  readonly name: string
  /** What others know it by: `org/name` for a model of the hub, its folder's name for any other. */
  readonly id: string
  /** The commit on the hub; null for a folder. */
  readonly commit: string | null
  /** What names it again, with the same content: its path, or `org/name@commit`. */
  readonly reference: string
  readonly warnings: readonly string[]
  /** The weights, where they were left on the hub, to be read there; null where they are in the folder. */
  readonly remote: RemoteWeights | null
}

/**
 * The folder that MODEL stands for: itself where there is one, else the model of the hub that `org/name` or `org/name@revision` names, with
 * the files downloaded that a compression needs: config.json, safetensors, tokenizer, chat template, licences. `weights` false leaves the
 * safetensors out, `headers` gives them as `remote`.
 * Errors: CheckpointError for a repository without safetensors; UserError and RunError as `openRepo`. A path that is neither is given back
 * as it is: opening it says what is wrong with it.
 */
export async function modelFolder(
  model: string,
  { weights = true, ...options }: HubOptions & { weights?: boolean | 'headers' } = {},
  patience?: Patience,
): Promise<ModelFolder> {
  const repo = existsSync(model) ? null : parseRepoId(model, 'model')
  if (repo === null) {
    const name = basename(resolve(model))
    return { path: model, name, id: name, commit: null, reference: model, warnings: [], remote: null }
  }
  // The hub's library only where there is something to ask: it is a tenth of what a command takes to start.
  const { openRepo } = await import('./open-repo.ts')
  const hub = await openRepo(repo, hubSettings(options), patience).catch((error: unknown) => {
    throw localHint(error, model)
  })
  const { small, shards } = await wantedFiles(hub, weights !== false)
  const isRemote = weights === 'headers'
  for (const file of isRemote ? small : [...small, ...shards]) await hub.fetch(file)
  const { folder: path, commit, warnings } = hub
  return {
    path,
    name: basename(repo.name),
    id: repo.name,
    commit,
    reference: `${repo.name}@${commit}`,
    warnings,
    remote: isRemote ? { names: shards, open: (file) => hub.open(file) } : null,
  }
}

/** `models/lama` is a name of the hub as well as a path: where the folder before the last part is here, a path was probably meant. */
function localHint(error: unknown, model: string): unknown {
  const parent = dirname(model)
  const there = statSync(parent, { throwIfNoEntry: false })
  if (!(error instanceof UserError || error instanceof RunError) || !there) return error
  const near = there.isDirectory() ? nearest(basename(model), readdirSync(parent)) : undefined
  error.message += ` There is no folder ${model} here${near === undefined ? '' : ` (did you mean "${join(parent, near)}"?)`}.`
  return error
}

/** The small files first: what is wrong with them should not cost gigabytes. */
async function wantedFiles(hub: HubRepo, weights: boolean): Promise<{ small: string[]; shards: string[] }> {
  if (!hub.files.includes(CONFIG_FILE)) throw refused(hub, `found no ${CONFIG_FILE}, expected a model in the form of transformers`)
  await hub.fetch(CONFIG_FILE)
  const config = await readConfig(hub.folder)
  const companions = hub.files.filter((file) => isCompanion(file, config))
  if (!weights) return { small: companions, shards: [] }
  if (hub.files.includes(SINGLE_FILE)) return { small: companions, shards: [SINGLE_FILE] }
  if (!hub.files.includes(INDEX_FILE)) throw refused(hub, weightless(hub.files))
  const { weight_map: map } = await readJsonFile(await hub.fetch(INDEX_FILE))
  const shards = isJsonObject(map) ? [...new Set(Object.values(map))].filter((file) => typeof file === 'string') : []
  const missing = shards.find((file) => !hub.files.includes(file))
  if (missing !== undefined) throw refused(hub, `${INDEX_FILE} names ${missing}, which is not there, expected all of its shards`)
  return { small: [...companions, INDEX_FILE], shards: shards.sort() }
}

function weightless(files: readonly string[]): string {
  const named = (pattern: RegExp) => files.filter((file) => pattern.test(file))
  const pickles = named(/\.(bin|pt|pth|ckpt)$/)
  const expected = `expected ${SINGLE_FILE} or ${INDEX_FILE}`
  if (pickles.length > 0)
    return `found only pickles (${pickles[0]}), which can run code when they are read, ${expected}. Convert it to safetensors first`
  const [other = null] = named(/\.(safetensors|gguf|onnx|h5|msgpack)$/)
  return `found ${other === null ? 'no weights' : `only ${other}`}, ${expected}`
}

/** Where the files are not what is needed, the name may tell what they are. */
function refused({ repo }: HubRepo, problem: string): CheckpointError {
  const said = nameSays(repo.name)
  return new CheckpointError(`Cannot use ${repo.name}@${repo.revision}: ${problem}${said === null ? '' : `; ${said}`}.`)
}
