import { statSync } from 'node:fs'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { EngineName } from '../engine/engine.ts'
import { withEngine } from '../engine/with-engine.ts'
import type { HubOptions } from '../hub/settings.ts'
import { isWide } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'
import { Entrant } from './entrant.ts'
import type { Evaluation } from './evaluation.ts'
import { type PreparedTask, prepareTask, type TaskRequest } from './harness/prepare.ts'
import { runTask } from './harness/run-task.ts'
import { taskNamed } from './harness/tasks.ts'
import { checkEvaluate } from './options.ts'
import { scoreText } from './score-text.ts'
import type { TextRequest } from './text-form.ts'
import { verdictOf } from './verdict.ts'

export interface EvaluateOptions extends HubOptions {
  /** Checkpoint folders, originals or compressed, or org/name on the hub. */
  models: readonly string[]
  /** The model that the others are compared with; by default the first of `models` where it is not compressed. */
  against?: string
  /** A text to score all on, and how it is cut. A text, tasks or both. */
  text?: TextRequest
  /** Tasks of lm-evaluation-harness: hellaswag, piqa, arc_easy, gsm8k. */
  tasks?: readonly string[]
  /** Examples before each question, and which questions. */
  taskOptions?: TaskRequest
  /** Puts the token that begins a sequence before the prompts of tasks also where the tokenizer does not. */
  addBosToken?: boolean
  /** Rows of one length that go through a layer together, at most; as many as are fast by default. */
  batch?: number
  engine?: EngineName | 'auto'
  threads?: number
  /** Called as work goes on: `done` of `of` steps of `what`, the layers of a text or a model's task. */
  onStep?(what: string, done: number, of: number): void
  /** Called after each task of each model and when all is done, with all that is known by then, so that none of it is lost. */
  onFound?(found: Evaluation): void | Promise<void>
}

/**
 * Evaluates models on the same text and tasks. Of a text: perplexity, and against the original KL divergence, agreement on the most likely
 * token and the error of each layer, all models layer by layer side by side. Of tasks: what lm-evaluation-harness scores them with.
 * Activations and the cache are quantized where a checkpoint's scheme says so. A model or task that fails says so, and the others go on.
 * Calls take turns where a process starts several. Errors: UserError for wrong options, a task that is not known, an original that cannot be
 * opened, or where nothing can be scored; the signal's reason.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  checkEvaluate(options)
  const { engine = 'auto', threads, signal, text, tasks = [], batch } = options
  const started = performance.now()
  for (const name of tasks) await taskNamed(name)
  requireTaskData(options.taskOptions?.data)
  const entrants = await enter(options)
  const evaluation = (): Evaluation => {
    const original = entrants.find(({ isOriginal }) => isOriginal)?.found ?? null
    const models = entrants.map(({ found }) => ({ ...found, verdict: verdictOf(found, original) }))
    return { models, text: name, seconds: (performance.now() - started) / 1000, warnings }
  }
  const warnings: string[] = []
  let name: string | null = null
  try {
    const prepared = await prepareTasks(tasks, options, entrants)
    const givesBack = entrants.some(({ source }) => source && isWide(source))
    await withEngine({ engine, givesBack, ...(threads && { threads }), ...(signal && { signal }) }, async () => {
      if (text) {
        const onLayer = (layer: number, of: number) => options.onStep?.('text', layer, of)
        name = await scoreText(entrants, text, options, { onLayer, ...(signal && { signal }), ...(batch && { batch }) }, warnings)
        await options.onFound?.(evaluation())
      }
      for (const entrant of entrants) {
        for (const task of prepared) {
          await ask(entrant, task, options)
          await options.onFound?.(evaluation())
        }
      }
    })
    requireSome(entrants)
    return evaluation()
  } finally {
    for (const entrant of entrants) await entrant.close()
  }
}

/** Errors: UserError for a place of rows that cannot have those of any task. */
function requireTaskData(folder: string | undefined): void {
  if (folder === undefined) return
  const there = statSync(folder, { throwIfNoEntry: false })
  if (there?.isDirectory()) return
  const found = there ? 'it is a file' : 'there is no such folder'
  throw new UserError(`Cannot read the rows of tasks from ${folder}: ${found}, expected a folder with one of each task's name.`)
}

/** The models, opened, with the original marked and first where it is none of them. Errors: UserError. */
async function enter({ models, against, ...hub }: EvaluateOptions): Promise<Entrant[]> {
  const names = against === undefined || models.includes(against) ? [...models] : [against, ...models]
  const entrants = [...new Set(names)].map((name) => new Entrant(name))
  try {
    for (const entrant of entrants) await entrant.open(hub)
    const original = entrants.find(({ name }) => name === (against ?? models[0]))
    if (against !== undefined && original?.found.error) throw new UserError(`Cannot compare with ${against}: ${original.found.error}`)
    requireSome(entrants)
    const isCompressed = original?.source ? original.source.compressed.size > 0 : true
    if (original && entrants.length > 1 && (against !== undefined || !isCompressed)) original.found.isOriginal = true
    return entrants
  } catch (error) {
    for (const entrant of entrants) await entrant.close()
    throw error
  }
}

/** Errors: UserError with the first one's error where every model has failed. */
function requireSome(entrants: readonly Entrant[]): void {
  if (entrants.some(({ found: { error, text, tasks } }) => error === null || text || tasks.length > 0)) return
  const [{ name, found }] = entrants
  throw new UserError(
    entrants.length === 1 ? String(found.error) : `Cannot evaluate any of the ${entrants.length} models; ${name}: ${found.error}`,
  )
}

/** Tasks whose data cannot be used are noted as failed for all. Errors: UserError where nothing is left to do. */
async function prepareTasks(names: readonly string[], options: EvaluateOptions, entrants: readonly Entrant[]): Promise<PreparedTask[]> {
  const { taskOptions = {}, text } = options
  const prepared: PreparedTask[] = []
  let first: UserError | null = null
  for (const name of new Set(names)) {
    try {
      prepared.push(await prepareTask(name, taskOptions, options))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      first ??= error
      for (const { found } of entrants) found.failedTasks[name] = error.message
    }
  }
  if (first && prepared.length === 0 && !text) throw first
  return prepared
}

async function ask(
  entrant: Entrant,
  prepared: PreparedTask,
  { signal, threads, addBosToken, batch, onStep }: EvaluateOptions,
): Promise<void> {
  const { task } = prepared
  const { found } = entrant
  if (!entrant.source || found.error !== null) return
  try {
    const tokenizer = await loadTokenizer(entrant.source.path)
    const score = await runTask(entrant.source, tokenizer, prepared, {
      onStep: (done, of) => onStep?.(`${task.name}, ${entrant.name}`, done, of),
      ...(signal && { signal }),
      ...(threads !== undefined && { threads }),
      ...(addBosToken !== undefined && { addBosToken }),
      ...(batch && { batch }),
    })
    found.tasks.push(score)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    found.failedTasks[task.name] = error.message
  }
}
