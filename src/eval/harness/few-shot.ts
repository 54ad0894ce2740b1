import { isDeepStrictEqual } from 'node:util'
import type { DataRecord } from '../../data/data-record.ts'
import { DataError } from '../../util/errors.ts'
import { PythonRandom } from '../../util/python-random.ts'
import type { Task, TaskDoc } from './task.ts'

/** What examples are drawn with where nothing else is said: the harness's default. */
export const FEW_SHOT_SEED = 1234

/**
 * Puts examples before questions as lm-evaluation-harness does: one generator for all questions of a task in their order, so that which
 * examples a question gets depends on its place. Where a question may be among the examples, one more is drawn and it is left out.
 */
export class FewShot {
  readonly #task: Task
  readonly #rows: readonly DataRecord[]
  readonly #shots: number
  readonly #random = new PythonRandom(FEW_SHOT_SEED)

  constructor(task: Task, rows: readonly DataRecord[], shots: number) {
    this.#task = task
    this.#rows = rows
    this.#shots = shots
  }

  /** The whole prompt of the next question. Errors: DataError where there are too few examples, or one is malformed. */
  prompt(doc: TaskDoc, own: DataRecord): string {
    const examples = this.#draw(own).map((row) => this.#task.toDoc(row))
    return examples.map(({ prompt, choices, gold }) => `${prompt} ${choices[gold]}\n\n`).join('') + doc.prompt
  }

  #draw({ value }: DataRecord): DataRecord[] {
    const shots = this.#shots
    if (shots === 0) return []
    if (!this.#task.withoutOwn) return this.#sample(this.#rows, shots)
    const others = (rows: readonly DataRecord[]) => rows.filter((row) => !isDeepStrictEqual(row.value, value))
    const drawn = others(this.#sample(this.#rows, shots + 1)).slice(0, shots)
    return drawn.length === shots ? drawn : this.#sample(others(this.#rows), shots)
  }

  #sample(rows: readonly DataRecord[], count: number): DataRecord[] {
    if (rows.length >= count) return this.#random.sample(rows.length, count).map((i) => rows[i])
    const { name, data } = this.#task
    throw new DataError(
      `Cannot draw examples for ${name}: the split ${data.examples} has ${rows.length} rows, expected at least ${count}, or fewer examples (--num-fewshot)`,
    )
  }
}
