import { existsSync } from 'node:fs'
import { lstat, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RunError, UserError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import { CONFIG_FILE } from './config.ts'
import { replaceDurably } from './durable.ts'
import { looksLikeCheckpoint } from './old-checkpoint.ts'
import { lockFile } from './output-lock.ts'
import { requireWritable } from './require-writable.ts'
import { STAGING } from './staging.ts'
import { writeError } from './write-error.ts'

const LOCK = 'lock'

/** In the staging folder while files are moved up: a list of all their names. */
const PUBLISHING = 'publishing.json'

/** An output folder that this run alone may write to, with a staging folder in it. */
export interface ClaimedOutput {
  /** Names of the files that a stopped run was moving up, whole all of them; null where it had not come so far. */
  readonly publishing: readonly string[] | null
  /** Removes what a stopped run left in the staging folder, but for the files named, and what it had already moved up. */
  clear(keep: ReadonlySet<string>): Promise<void>
  /** Writes down that files are moved up from now on, so that it can be finished whenever it is stopped. */
  beginPublishing(names: readonly string[]): Promise<void>
  /** Errors: RunError where the folder was removed, or another run has taken it since. */
  requireHeld(): Promise<void>
  /** Removes the staging folder with the lock, and the output folder if it was made for this run and is empty; nothing of another run's. */
  discard(): Promise<void>
  /** Releases the lock and leaves everything else. */
  release(): Promise<void>
}

/**
 * Makes or checks the output folder and takes it for this run; what a stopped run left in its staging folder is still there.
 * Errors: UserError when it is not such a folder, may not be written, or another run is writing there.
 */
export async function claimOutput(output: string, overwrite: boolean): Promise<ClaimedOutput> {
  const isNew = (await requireUsableOutput(output, overwrite)) === 'new'
  const staging = join(output, STAGING)
  try {
    await requireOwnFolder(staging)
    await makeFolder(staging)
    const lock = await lockFile(join(staging, LOCK), output)
    const publishing = await publishingNames(output)
    const beginPublishing = (names: readonly string[]) => replaceDurably(join(staging, PUBLISHING), JSON.stringify(names))
    const clear = async (keep: ReadonlySet<string>) => {
      // Once config.json is up it is a checkpoint, which stays until the next is whole.
      const moved = isPublished(await readdir(output), publishing) ? [] : (publishing ?? [])
      for (const name of moved) await rm(join(output, name), { force: true })
      for (const name of await readdir(staging)) {
        if (name !== LOCK && !keep.has(name)) await rm(join(staging, name), { recursive: true, force: true })
      }
    }
    const discard = async () => {
      if (!(await lock.isHeld())) return
      await removeStaging(staging)
      if (isNew && (await readdir(output).catch(absent))?.length === 0) await rmdir(output)
    }
    const requireHeld = async () => {
      if (await lock.isHeld()) return
      const found = existsSync(join(staging, LOCK))
        ? 'another run has taken the folder'
        : `${existsSync(staging) ? 'its lock' : 'the folder'} was removed`
      throw new RunError(`Cannot go on writing ${output}: ${found} meanwhile, expected it to be left alone until the end.`)
    }
    return { publishing, clear, beginPublishing, requireHeld, discard, release: () => lock.release() }
  } catch (cause) {
    throw writeError(cause, output)
  }
}

/**
 * Checks that a checkpoint may be written to a folder, without leaving anything there: it is new, empty, holds only what a killed run left, or, with
 * `overwrite`, a checkpoint; and its disk can be written. Errors: UserError when it is not such a folder.
 */
export async function requireUsableOutput(output: string, overwrite: boolean): Promise<'new' | 'there'> {
  try {
    const entries = await readdir(output).catch(absent)
    const publishing = await publishingNames(output)
    const moved = new Set(isPublished(entries ?? [], publishing) ? [] : publishing)
    if (overwrite) assertReplaceable(output, entries ?? [])
    else
      assertUnused(
        output,
        (entries ?? []).filter((name) => !moved.has(name)),
      )
    await requireWritable(output, 'folder')
    return entries === undefined ? 'new' : 'there'
  } catch (cause) {
    throw writeError(cause, output)
  }
}

/**
 * Takes away what a run that was killed at its very end left beside its finished checkpoint. What another one that was stopped left stays, where
 * `isJournalled` says that it can be gone on with. Errors: UserError where another run is writing there.
 */
export async function tidyFinished(output: string, isJournalled: (staging: string) => boolean): Promise<void> {
  const staging = join(output, STAGING)
  if (!existsSync(staging)) return
  try {
    await requireOwnFolder(staging)
    const lock = await lockFile(join(staging, LOCK), output)
    try {
      const isOver = isPublished(await readdir(output), await publishingNames(output))
      if (isOver || !isJournalled(staging)) await removeStaging(staging)
    } finally {
      // Gone already where the folder is.
      await lock.release()
    }
  } catch (cause) {
    throw writeError(cause, output)
  }
}

/** What lies in a staging folder is removed: that must not be what a link leads to. */
async function requireOwnFolder(staging: string): Promise<void> {
  const found = await lstat(staging).catch(absent)
  if (found && !found.isDirectory())
    throw new UserError(
      `Cannot use ${staging}: it is a ${found.isSymbolicLink() ? 'link' : 'file'}, expected a folder of a run or nothing. Remove it.`,
    )
}

/** Removes a staging folder. The list of moved files goes last: as long as there is something else, it tells that this is over. */
async function removeStaging(staging: string): Promise<void> {
  for (const name of (await readdir(staging).catch(absent)) ?? []) {
    if (name !== LOCK && name !== PUBLISHING) await rm(join(staging, name), { recursive: true, force: true })
  }
  await rm(staging, { recursive: true, force: true })
}

/** Whether all files that were to be moved up are there: config.json comes last. */
function isPublished(entries: readonly string[], publishing: readonly string[] | null): boolean {
  return entries.includes(CONFIG_FILE) && publishing?.includes(CONFIG_FILE) === true
}

async function publishingNames(output: string): Promise<readonly string[] | null> {
  try {
    const names: unknown = JSON.parse(await readFile(join(output, STAGING, PUBLISHING), 'utf8'))
    return Array.isArray(names) && names.every((name) => typeof name === 'string' && name === basename(name)) ? names : null
  } catch {
    return null
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function assertUnused(output: string, entries: readonly string[]): void {
  const found = foundIn(entries)
  if (found === null) return
  const message = `Cannot write the checkpoint to ${output}: the folder is not empty (${found}), expected an empty or new one.`
  throw new UserError(`${message} Choose another, or pass --overwrite to replace the checkpoint in it.`)
}

/**
 * A staging folder will do as well: no run makes one in a folder that it may not use, and it may have been killed after config.json went.
 */
function assertReplaceable(output: string, entries: readonly string[]): void {
  const found = foundIn(entries)
  if (found === null || looksLikeCheckpoint(entries) || entries.includes(STAGING)) return
  const message = `Cannot overwrite ${output}: the folder holds no checkpoint (${found}), expected one with config.json or an empty folder.`
  throw new UserError(`${message} Choose another output folder.`)
}

/** What a folder holds beside a staging folder, for messages; null for nothing. */
function foundIn(entries: readonly string[]): string | null {
  const [first, ...others] = entries.filter((name) => name !== STAGING).sort()
  if (first === undefined) return null
  return others.length > 0 ? `${first} and ${others.length} more` : first
}
