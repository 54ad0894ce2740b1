import { stat } from 'node:fs/promises'
import { bytesForOutput } from '../checkpoint/disk-space.ts'
import { requireUsableOutput } from '../checkpoint/output-folder.ts'
import { UserError } from '../util/errors.ts'
import { formatBytes } from '../util/format-bytes.ts'

/** Checks that a checkpoint made from `model` may be written to a folder. Errors: UserError; for the model's own folder too. */
export async function requireTarget(output: string, model: string, overwrite: boolean): Promise<void> {
  if (await sameFolder(output, model))
    throw new UserError(`Cannot write to ${output}: it is the model itself, expected another --output folder.`)
  await requireUsableOutput(output, overwrite)
}

/** By device and inode, so that links and other spellings of a path are seen through. */
async function sameFolder(output: string, model: string): Promise<boolean> {
  const there = await stat(output).catch(() => null)
  const original = await stat(model)
  return there !== null && there.dev === original.dev && there.ino === original.ino
}

/** Errors: UserError where the disk of a folder has less room than a checkpoint's tensors need. */
export async function requireSpace(output: string, needed: number): Promise<void> {
  const available = await bytesForOutput(output)
  if (available >= needed) return
  throw new UserError(
    `Cannot write ${output}: ${formatBytes(available)} are free on its disk, expected ${formatBytes(needed)} for the checkpoint's tensors.`,
  )
}
