/** One item of a file of data, as it stands there, and where. */
export interface DataRecord {
  readonly value: unknown
  /** For messages: `rows.jsonl:3`, `rows.json, item 3`. */
  readonly where: string
}

/** How records are to be read. */
export interface RecordOptions {
  /** Those that matter of a table's columns; null for all. */
  columns(there: readonly string[]): readonly string[] | null
  /** Where the format has parts that can be read alone: in random order instead of their own. 0: in order. */
  seed: number
}
