/** Documents by length in tokens: `from` included, `to` not. */
export interface LengthBin {
  from: number
  to: number
  documents: number
}

/** What calibration data is like, before anything is computed with it. */
export interface DataSurvey {
  source: string
  /** The rows that a run would take. */
  rows: { count: number; tokens: number; shortest: number; longest: number }
  /** The first row, decoded, special tokens included. */
  sample: string
  /**
   * The documents looked at; `all` is false where there are more of them than were read, `longestShare` is the longest one's share of their
   * characters. Null for token rows.
   */
  documents: { read: number; all: boolean; duplicates: number; tokens: number; longestShare: number; lengths: LengthBin[] } | null
  /** Share of the tokenizer's ids that the rows have. */
  vocabulary: { seen: number; size: number }
  /** Share of the documents by language, the most frequent first; those whose language cannot be told are left out. */
  languages: { language: string; share: number }[]
  /** What the tokenizer managed; 0 where nothing was tokenised. */
  tokensPerSecond: number
  warnings: string[]
}
