import type { ChatMessage } from './chat.ts'

/** Token rows for calibration or evaluation. */
export interface Rows {
  /** Each row's token ids; rows may differ in length, and none is padded. */
  rows: Int32Array[]
  /** For people and the record: `docs-text (built in)`, the file's path, `4 texts`. */
  source: string
  /** Out of the ordinary: fewer rows than asked for, ... */
  warnings: string[]
}

/** A built-in name, a well-known set, a dataset of the hub, a file's path; texts, conversations or token rows. */
export type Dataset = string | readonly string[] | readonly (readonly ChatMessage[])[] | readonly (readonly number[] | Int32Array)[]

/** How documents become rows: joined and cut, or one a row. */
export const ROW_MODES = ['pack', 'truncate'] as const
export type RowMode = (typeof ROW_MODES)[number]
