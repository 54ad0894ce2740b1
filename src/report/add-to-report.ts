import { join } from 'node:path'
import { replaceDurably } from '../checkpoint/durable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import { PAGE_FILE, reportPage } from './page.ts'
import { readRun } from './read-run.ts'
import type { Sample, Scores } from './report-run.ts'
import { reportRun } from './run-data.ts'

/** What was found out about a checkpoint after its run. */
export interface ReportAddition {
  /** Texts that it and others wrote; they take the place of earlier ones for the same prompts. */
  readonly samples?: readonly Sample[]
  /** How it scored; takes the place of earlier scores. */
  readonly scores?: Scores
}

/**
 * Shows in the report.html of a finished run what was found out later, and keeps what it shows already. Gives the page's path.
 * Errors: CheckpointError for a folder that is not a finished run's; UserError where the page cannot be written.
 */
export async function addToReport(folder: string, { samples = [], scores }: ReportAddition): Promise<string> {
  const run = await readRun(folder)
  const prompts = new Set(samples.map(({ prompt }) => prompt))
  const page = await reportPage([
    reportRun({
      ...run,
      samples: [...run.samples.filter(({ prompt }) => !prompts.has(prompt)), ...samples],
      scores: scores ?? run.scores,
    }),
  ])
  const path = join(folder, PAGE_FILE)
  try {
    await replaceDurably(path, page)
  } catch (cause) {
    throw writeError(cause, path)
  }
  return path
}
