import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Option } from 'commander'
import type { ReportAddition } from '../report/add-to-report.ts'
import { PAGE_FILE } from '../report/page.ts'
import { REPORT_FILE } from '../report/record.ts'
import { UserError } from '../util/errors.ts'

/** `--report`: what is found out is shown in the report.html of the checkpoints too. */
export function reportOption(what: string): Option {
  return new Option('--report', `show ${what} in the ${PAGE_FILE} of each checkpoint that a run left here, too`)
}

/** Those of some checkpoints that a run left here, so that they have a report. Errors: UserError where there is none. */
export function requireReported(checkpoints: readonly string[]): string[] {
  const folders = checkpoints.filter((checkpoint) => existsSync(join(checkpoint, REPORT_FILE)))
  if (folders.length > 0) return folders
  throw new UserError(
    `Cannot show this in a report: found no ${REPORT_FILE} in ${checkpoints.join(', ')}, expected a folder that oneshot or compress wrote, or no --report.`,
  )
}

/** Adds to a checkpoint's page and says so on stderr. */
export async function noteInReport(folder: string, addition: ReportAddition): Promise<void> {
  const { addToReport } = await import('../index.ts')
  process.stderr.write(`shown in ${resolve(await addToReport(folder, addition))}\n`)
}
