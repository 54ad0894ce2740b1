import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where files are written until the checkpoint is whole; inside the output, so that moving them up is a rename on one file system. */
export const STAGING = '.llmpress'

/** Whether a run into a folder has not ended: it is at work, or it was stopped and can be gone on with. */
export function isUnfinished(dir: string): boolean {
  return existsSync(join(dir, STAGING))
}
