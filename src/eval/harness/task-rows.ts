import { readdir } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { openDataFile } from '../../data/data-file.ts'
import type { DataRecord } from '../../data/data-record.ts'
import { openHubDataset, splitFiles } from '../../data/hub-dataset.ts'
import { readRecords } from '../../data/records.ts'
import { parseRepoId } from '../../hub/repo-id.ts'
import type { HubOptions } from '../../hub/settings.ts'
import { DataError } from '../../util/errors.ts'
import type { Task } from './task.ts'

/**
 * The rows of one of a task's splits: from `folder/<task>`, where a folder is given (files such as `train.jsonl`, or a copy of
 * the data set as it is on the hub), else from the hub. `source` says where from. Errors: DataError where there are
 * none, and as `openHubDataset`.
 */
export async function taskRows(
  { name, data }: Task,
  split: string,
  folder: string | null,
  hub: HubOptions,
): Promise<{ rows: DataRecord[]; source: string }> {
  const { files, source } = folder === null ? await hubFiles(data, split, hub) : await localFiles(join(folder, name), data.config, split)
  const rows: DataRecord[] = []
  for (const file of files) {
    const { path, label } = await file()
    for await (const record of readRecords(openDataFile(path, label), { columns: () => null, seed: 0 })) rows.push(record)
  }
  if (rows.length === 0) throw new DataError(`Cannot run ${name}: found no rows in ${source}, expected at least one`)
  return { rows, source }
}

interface Files {
  source: string
  files: (() => Promise<{ path: string; label: string }>)[]
}

async function hubFiles({ repo, config }: Task['data'], split: string, hub: HubOptions): Promise<Files> {
  const id = parseRepoId(repo, 'dataset')
  if (!id) throw new RangeError(`Cannot open the data set ${repo}: it is no name of the hub`)
  const found = await openHubDataset(id, { config, split, files: null }, hub)
  return {
    source: found.name,
    files: found.files.map(({ name, path }) => async () => ({ path: await path(), label: name })),
  }
}

async function localFiles(folder: string, config: string | null, split: string): Promise<Files> {
  const paths = (await listed(folder)).map((path) => path.split(sep).join('/'))
  const ofConfig = config === null ? [] : splitFiles(paths, { config, split, files: null })
  const found = ofConfig.length > 0 ? ofConfig : splitFiles(paths, { config: null, split, files: null })
  if (found.length === 0)
    throw new DataError(
      `Cannot read the task's rows from ${folder}: found ${paths.join(', ') || 'nothing'}, expected ${split}.jsonl, .json, .csv or .parquet`,
    )
  return {
    source: join(folder, found[0]),
    files: found.map((name) => async () => ({ path: join(folder, name), label: join(folder, name) })),
  }
}

async function listed(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { recursive: true })).sort()
  } catch {
    throw new DataError(`Cannot read the task's rows from ${folder}: there is no such folder, expected one of the task's name`)
  }
}
