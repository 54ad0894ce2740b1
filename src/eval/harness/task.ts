import type { JsonObject } from '../../checkpoint/json-file.ts'
import type { DataRecord } from '../../data/data-record.ts'
import { kindOf } from '../../data/kind-of.ts'
import { DataError } from '../../util/errors.ts'

/** A question of a task, as models are asked it. */
export interface TaskDoc {
  /** What stands before the answer, without a space behind it. */
  readonly prompt: string
  /** The answers to choose from; the only right one where the answer is to be written. */
  readonly choices: readonly string[]
  /** Index of the right one. */
  readonly gold: number
}

/** How a written answer is taken from a text, by name: the pattern's first match or its last; its first group that matched. */
export interface AnswerFilter {
  readonly name: string
  readonly pattern: RegExp
  readonly take: 'first' | 'last'
}

/** Tasks whose answer is written. */
export interface WrittenAnswers {
  /** Texts that end an answer. */
  readonly until: readonly string[]
  readonly maxTokens: number
  readonly filters: readonly AnswerFilter[]
  /** What of two answers is compared. */
  normalise(answer: string): string
}

/** A task as lm-evaluation-harness 0.4 defines it; `version` is that of its definition. */
export interface Task {
  readonly name: string
  readonly version: number
  /** Its data set on the hub, and which splits are scored and give the examples. */
  readonly data: { readonly repo: string; readonly config: string | null; readonly scored: string; readonly examples: string }
  /** Examples in the prompt where nothing is said. */
  readonly shots: number
  /** Whether the question itself is kept out of its examples: so it is in tasks that have neither a test nor an examples split by name. */
  readonly withoutOwn: boolean
  /** Null where the most likely of several choices counts. */
  readonly written: WrittenAnswers | null
  /** Its settings, for the results' file. */
  readonly settings: JsonObject
  /** A row as a question. Errors: DataError naming the row and what of it is wrong. */
  toDoc(row: DataRecord): TaskDoc
}

/** A text of a row. Errors: DataError. */
export function textOf(row: DataRecord, column: string): string {
  const found = cellOf(row, column)
  return typeof found === 'string' ? found : refuse(row, column, found, 'a text')
}

/** A list of texts of a row, or of an object in it. Errors: DataError. */
export function textsOf(row: DataRecord, column: string, within?: string): readonly string[] {
  const outer = cellOf(row, column)
  const found = within === undefined ? outer : cellOf({ ...row, value: outer }, within)
  const isList = Array.isArray(found) && found.length > 0 && found.every((item) => typeof item === 'string')
  return isList ? found : refuse(row, within === undefined ? column : `${column}.${within}`, found, 'a list of texts')
}

/** A column's index into `choices`, given as a number or its digits. Errors: DataError. */
export function indexOf(row: DataRecord, column: string, choices: readonly string[]): number {
  const found = cellOf(row, column)
  const index = typeof found === 'string' && /^\d+$/.test(found) ? Number(found) : found
  const fits = typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < choices.length
  return fits ? index : refuse(row, column, found, `the number of the right choice, 0 to ${choices.length - 1}`)
}

/** Refuses a row for what a column holds. */
export function refuse({ where }: DataRecord, column: string, found: unknown, expected: string): never {
  const what = typeof found === 'string' || typeof found === 'number' ? JSON.stringify(found) : kindOf(found)
  throw new DataError(`Cannot use the task's row at ${where}: "${column}" holds ${what}, expected ${expected}`)
}

function cellOf({ value }: DataRecord, column: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[column] : undefined
}

/** Settings that choice tasks have in common. */
export const CHOICE_SETTINGS: JsonObject = {
  output_type: 'multiple_choice',
  target_delimiter: ' ',
  fewshot_delimiter: '\n\n',
  repeats: 1,
  metric_list: ['acc', 'acc_norm'].map((metric) => ({ metric, aggregation: 'mean', higher_is_better: true })),
}
