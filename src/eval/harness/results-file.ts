import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JsonObject } from '../../checkpoint/json-file.ts'
import { makeFolder } from '../../util/make-folder.ts'
import { packageVersion } from '../../util/package-version.ts'
import type { ModelEvaluation } from '../evaluation.ts'
import { FEW_SHOT_SEED } from './few-shot.ts'
import type { TaskScore } from './task-score.ts'
import { taskNamed } from './tasks.ts'

/** What was asked for, as the results' file says it. */
export interface ResultsRequest {
  /** When it began, in milliseconds since 1970: part of the file's name. */
  readonly started: number
  readonly limit?: number
  readonly batch?: number | 'auto'
}

/**
 * Writes what was found out about a model as lm-evaluation-harness lays out its results, to `folder/<model>/results_<time>.json`; what the
 * harness has no place for stands under `llmpress`. Written again, with more tasks, for the same `started`. Gives the path.
 */
export async function writeResults(folder: string, found: ModelEvaluation, request: ResultsRequest): Promise<string> {
  const inside = join(folder, fileName(found.model))
  await makeFolder(inside)
  const time = new Date(request.started).toISOString().replace('Z', '').replaceAll(':', '-')
  const path = join(inside, `results_${time}.json`)
  // Whoever reads it meanwhile sees the old one or the new one, whole.
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await writeFile(temporary, `${JSON.stringify(await resultsDocument(found, request), null, 2)}\n`)
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return path
}

/** The harness's `sanitize_model_name`. */
function fileName(model: string): string {
  const name = model.replace(/["<>:/|\\?*[\]]+/g, '__')
  return /^\.{1,2}$/.test(name) ? '__' : name
}

/** The document of `writeResults`. */
async function resultsDocument(found: ModelEvaluation, { started, limit, batch = 'auto' }: ResultsRequest): Promise<JsonObject> {
  const { model, tasks, text, divergence, error, failedTasks, notes, verdict } = found
  const byTask = <T>(of: (score: TaskScore) => T) => Object.fromEntries(tasks.map((score) => [score.task, of(score)]))
  const settings = new Map<string, JsonObject>()
  for (const { task } of tasks) settings.set(task, await settingsOf(task))
  const seconds = tasks.reduce((sum, task) => sum + task.seconds, 0)
  return {
    results: byTask(({ task, asked, metrics }) => ({ name: task, alias: task, sample_len: asked, ...metricFields(metrics) })),
    group_subtasks: {},
    configs: byTask(({ task, shots }) => ({ ...settings.get(task), num_fewshot: shots })),
    versions: byTask(({ version }) => version),
    'n-shot': byTask(({ shots }) => shots),
    higher_is_better: byTask(({ metrics }) => Object.fromEntries(Object.keys(metrics).map((name) => [name.split(',')[0], true]))),
    'n-samples': byTask(({ asked, of }) => ({ original: of, effective: asked })),
    config: {
      model: 'llmpress',
      model_args: { pretrained: model },
      batch_size: batch,
      batch_sizes: [],
      device: null,
      use_cache: null,
      limit: limit ?? null,
      bootstrap_iters: 0,
      gen_kwargs: null,
      fewshot_seed: FEW_SHOT_SEED,
    },
    git_hash: null,
    date: started / 1000,
    llmpress_version: packageVersion(),
    task_hashes: {},
    model_source: 'llmpress',
    model_name: model,
    model_name_sanitized: fileName(model),
    total_evaluation_time_seconds: String(seconds),
    llmpress: { error, failed_tasks: failedTasks, text, divergence, notes: [...notes, ...tasks.flatMap((task) => task.notes)], verdict },
  }
}

async function settingsOf(name: string): Promise<JsonObject> {
  const { settings, data, version } = await taskNamed(name)
  return { task: name, dataset_path: data.repo, dataset_name: data.config, ...settings, metadata: { version } }
}

/** `acc,none` and `acc_stderr,none`; the harness writes N/A where one question has no error. */
function metricFields(metrics: TaskScore['metrics']): JsonObject {
  const fields = Object.entries(metrics).flatMap(([name, { value, stderr }]) => {
    const [metric, filter] = name.split(',')
    return [
      [name, value],
      [`${metric}_stderr,${filter}`, stderr ?? 'N/A'],
    ]
  })
  return Object.fromEntries(fields)
}
