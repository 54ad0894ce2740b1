import type { HubOptions } from '../../hub/settings.ts'
import { UserError } from '../../util/errors.ts'
import { FewShot } from './few-shot.ts'
import type { Task, TaskDoc } from './task.ts'
import { taskRows } from './task-rows.ts'
import { taskNamed } from './tasks.ts'

/** What of tasks is asked. */
export interface TaskRequest {
  /** Examples in the prompt; what each task says by default. */
  readonly shots?: number
  /** So many questions of each task, from the start; below 1, that share of them. All by default. */
  readonly limit?: number
  /** A folder with one of each task's name, in place of the hub. */
  readonly data?: string
}

/** A question with its examples: the same for all models. */
export interface Question extends TaskDoc {
  /** The row as it stands in the data. */
  readonly row: unknown
}

/** A task ready to be asked. */
export interface PreparedTask {
  readonly task: Task
  readonly shots: number
  /** Questions in the data; `questions` may be fewer. */
  readonly total: number
  readonly source: string
  readonly questions: readonly Question[]
}

/** Errors: UserError for an unknown task, DataError for data that is missing or malformed, naming the row. */
export async function prepareTask(name: string, request: TaskRequest, hub: HubOptions): Promise<PreparedTask> {
  const task = await taskNamed(name)
  const { shots = task.shots, limit, data = null } = request
  const { rows, source } = await taskRows(task, task.data.scored, data, hub)
  const examples = shots > 0 ? (await taskRows(task, task.data.examples, data, hub)).rows : []
  const asked = rows.slice(0, limit === undefined ? rows.length : limit < 1 ? Math.ceil(rows.length * limit) : limit)
  const fewShot = new FewShot(task, examples, shots)
  const questions = asked.map((row) => {
    const doc = task.toDoc(row)
    return { ...doc, prompt: fewShot.prompt(doc, row), row: row.value }
  })
  if (questions.length === 0) throw new UserError(`Cannot run ${task.name}: a limit of ${limit} leaves no question, expected one at least.`)
  return { task, shots, total: rows.length, source, questions }
}
