import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { sha256 } from '../checkpoint/file-hash.ts'
import { tidyFinished } from '../checkpoint/output-folder.ts'
import type { Rows } from '../data/rows.ts'
import type { RunRecord } from '../report/record.ts'
import { UserError } from '../util/errors.ts'
import { companionFiles } from './companions.ts'
import { fingerprintOf } from './fingerprint.ts'
import { finishedRecord } from './finished-record.ts'
import { differingParts, hasJournal } from './journal.ts'
import { numericsOf } from './numerics-of.ts'
import { requireSpace, requireTarget } from './output-target.ts'
import type { Plan } from './plan.ts'

/** What it takes to compare a run with a finished one, asked for only where what costs less is equal. */
export interface Comparison {
  /** Whether linears that were rounded plainly, in place of an error, are a result. */
  readonly allowFallback: boolean
  /** Called once it is known that no more than data and engine can differ. */
  announce(): void
  /** The calibration rows; null for a run without data. */
  rows(): Promise<Rows | null>
  /** What the result depends on of the engine. */
  numerics(rows: Rows | null): Promise<string> | string
}

/**
 * The record of the finished checkpoint in the output folder, where the run of this plan has made it; null where there is none. What was killed
 * at its very end is tidied up. Errors: UserError where another run made it, or a file is gone or has another size; files of the size that the
 * record says are not read, that is what `verify` is for.
 */
export async function foundFinished(plan: Plan, { allowFallback, announce, rows, numerics }: Comparison): Promise<RunRecord | null> {
  const { finished, output } = plan
  if (!finished) return null
  const { llmpress: version, hashes } = finished
  const then = { version, model: hashes.model, recipe: hashes.recipe, data: hashes.data }
  const refuse = (differing: readonly string[]) =>
    requireUsable(plan, `Another run made what is there: ${differing.join(' and ')} differed.`)
  const { data: _, ...known } = await fingerprintOf(plan, null)
  const early = differingParts(then, known)
  if (early.length > 0) return refuse(early)
  const damage = await damageOf(finished, output)
  if (damage !== null) return requireUsable(plan, `This very run made what is there, but it is no longer whole: ${damage}.`)
  const changed = await changedCompanion(plan, finished)
  if (changed !== null) return refuse([changed])
  // Plainly rounded in place of an error.
  const fallen = finished.linears.find(({ fallback, errorOf }) => fallback !== undefined && errorOf === 'weights')
  if (fallen && !allowFallback) return refuse([`--allow-fallback (${fallen.name} was rounded plainly)`])
  announce()
  const own = await rows()
  const late = differingParts(then, await fingerprintOf(plan, own?.rows ?? null))
  if (late.length > 0) return refuse(late)
  const [thenEngine, nowEngine] = [numericsOf(finished.engine), await numerics(own)]
  if (thenEngine !== nowEngine) return refuse([`the engine (${thenEngine} then, ${nowEngine} now)`])
  await tidyFinished(output, hasJournal)
  // Another run may have ended there while rows were read.
  if (JSON.stringify(await finishedRecord(output)) !== JSON.stringify(finished))
    return requireUsable(plan, 'Another run wrote there meanwhile.')
  return { ...finished, output }
}

/** The tokenizer's and other files that go with a checkpoint as they are: the first that the model now has otherwise; null where there is none. */
async function changedCompanion({ source }: Plan, { files }: RunRecord): Promise<string | null> {
  for await (const { name, bytes } of companionFiles(source)) {
    const then = files.find((file) => file.name === name)
    if (then?.bytes !== bytes.length || then.sha256 !== sha256(bytes)) return name
  }
  return null
}

/** Names a file that is gone or has another size than the record says, and what was found; null where there is none. */
async function damageOf({ files }: RunRecord, output: string): Promise<string | null> {
  for (const { name, bytes } of files) {
    // The record came with the files, and those that it names are pushed.
    if (name !== basename(name)) return `${JSON.stringify(name)} is no file of a checkpoint`
    const found = await stat(join(output, name)).catch(() => null)
    if (!found?.isFile()) return `${name} is gone`
    if (found.size !== bytes) return `${name} has ${found.size} bytes, expected ${bytes}`
  }
  return null
}

/** Refuses a folder that holds something, for the reason `why`. Null where it can be written to nevertheless: it was emptied meanwhile. */
async function requireUsable({ output, source, size }: Plan, why: string): Promise<null> {
  try {
    await requireTarget(output, source.path, false)
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${error.message} ${why}`) : error
  }
  await requireSpace(output, size.after)
  return null
}
