import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Ajv } from 'ajv'
import { readJsonFile } from '../checkpoint/json-file.ts'
import { CheckpointError } from '../util/errors.ts'
import { DATA_ID, PAGE_FILE } from './page.ts'
import { REPORT_FILE, type RunRecord } from './record.ts'
import type { Sample, Scores } from './report-run.ts'
import type { WrittenRun } from './run-data.ts'
import { RECORD_SCHEMA, SAMPLES_SCHEMA, SCORES_SCHEMA, STAGES_SCHEMA } from './run-schema.ts'
import type { StageStatistics } from './statistics.ts'

/** A page of the largest models has some megabytes. */
const MAX_PAGE = 256 * 2 ** 20

/**
 * What a finished run left in its folder: the record, and the statistics that its report.html holds; those are null where it is gone or is
 * of another run. Both may have come from somebody else: their form is checked. Errors: CheckpointError where there is no readable record.
 */
export async function readRun(folder: string): Promise<Required<WrittenRun>> {
  const path = join(folder, REPORT_FILE)
  if (!existsSync(path))
    throw new CheckpointError(`Cannot report on ${folder}: there is no ${path}, expected the folder of a finished run.`, { file: path })
  const record: unknown = await readJsonFile(path)
  const ajv = new Ajv({ useDefaults: true, strict: false })
  const isRecord = ajv.compile<RunRecord>(RECORD_SCHEMA)
  if (!isRecord(record)) {
    const [error] = isRecord.errors ?? []
    throw new CheckpointError(
      `Cannot report on ${folder}: ${REPORT_FILE} is not as a run writes it (${error?.instancePath || 'the whole'} ${error?.message}), expected the folder of a finished run.`,
      { file: path },
    )
  }
  const page = await readPage(join(folder, PAGE_FILE), record)
  const isStages = ajv.compile<StageStatistics[]>(STAGES_SCHEMA)
  const isSamples = ajv.compile<Sample[]>(SAMPLES_SCHEMA)
  const isScores = ajv.compile<Scores>(SCORES_SCHEMA)
  return {
    name: basename(resolve(folder)),
    record,
    statistics: isStages(page?.stages) ? page.stages : null,
    samples: isSamples(page?.samples) ? page.samples : [],
    scores: isScores(page?.scores) ? page.scores : null,
  }
}

/** What a page has beside its run's record, as it stands there. */
interface PageData {
  stages?: unknown
  samples?: unknown
  scores?: unknown
}

/** The data of a page, where it is about the run of that record; null else. */
async function readPage(path: string, { hashes }: RunRecord): Promise<PageData | null> {
  try {
    const [run] = JSON.parse(dataOf(await readLimited(path))) as (PageData & { record?: { hashes?: unknown } })[]
    return JSON.stringify(run.record?.hashes) === JSON.stringify(hashes) ? run : null
  } catch {
    // Not there, or of another make: the report does without.
    return null
  }
}

async function readLimited(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > MAX_PAGE) throw new RangeError(`Cannot read ${path}: it has ${size} bytes, expected at most ${MAX_PAGE}`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

function dataOf(page: string): string {
  const start = page.indexOf(`id="${DATA_ID}">`)
  if (start < 0) return '[{}]'
  const from = start + `id="${DATA_ID}">`.length
  return page.slice(from, page.indexOf('</script>', from))
}
