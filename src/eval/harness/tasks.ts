import { UserError } from '../../util/errors.ts'
import { loadFolder } from '../../util/load-folder.ts'
import { didYouMean } from '../../util/nearest.ts'
import type { Task } from './task.ts'

const FOLDER = new URL('../tasks/', import.meta.url)

/** The tasks there are, by name: each file of the folder that exports a `task`. */
async function loadTasks(): Promise<ReadonlyMap<string, Task>> {
  const tasks = [...(await loadFolder(FOLDER)).values()].flatMap(({ task }) => (task ? [task as Task] : []))
  return new Map(tasks.map((task) => [task.name, task]))
}

/** A task by its name, with `-` for `_` too. Errors: UserError for a name that is not known, naming those that are. */
export async function taskNamed(name: string): Promise<Task> {
  const tasks = await loadTasks()
  const task = tasks.get(name.trim().toLowerCase().replaceAll('-', '_'))
  if (task) return task
  const names = [...tasks.keys()]
  throw new UserError(
    `Cannot run the task ${JSON.stringify(name)}: it is not known${didYouMean(name, names)}, expected one of ${names.join(', ')}.`,
  )
}
