import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CONFIG_FILE } from '../checkpoint/config.ts'
import { readRun } from '../report/read-run.ts'
import { REPORT_FILE, type RunRecord } from '../report/record.ts'
import { CheckpointError } from '../util/errors.ts'

/** The record of the run that came to its end in a folder; null where there is no checkpoint, or no record of a run beside it. */
export async function finishedRecord(output: string): Promise<RunRecord | null> {
  if (!existsSync(join(output, REPORT_FILE)) || !existsSync(join(output, CONFIG_FILE))) return null
  try {
    const { record } = await readRun(output)
    return record
  } catch (error) {
    // Of another make, a converted checkpoint's for one: the folder is one that holds something.
    if (error instanceof CheckpointError) return null
    throw error
  }
}
