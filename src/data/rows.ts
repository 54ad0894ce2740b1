/** Token rows for calibration or evaluation. */
export interface Rows {
  /** Each row's token ids; rows may differ in length. */
  rows: Int32Array[]
  /** For people and the record: `docs-text (built in)`, the file's path, `4 texts`. */
  source: string
  /** Out of the ordinary: fewer rows than asked for, ... */
  warnings: string[]
}

/** A built-in name, a file's path, texts, or token rows. */
export type Dataset = string | readonly string[] | readonly (readonly number[] | Int32Array)[]
