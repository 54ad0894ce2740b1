import type { DataSurvey } from './data-survey.ts'
import type { Tokenizer } from './tokenizer.ts'

/** The rows that a survey is of, and what they are for. */
interface SurveyedRows {
  readonly rows: readonly Int32Array[]
  readonly tokenizer: Tokenizer
  /** The most inputs that a linear of the model has; null where not known. */
  readonly widest: number | null
  /** Tokens that a row may have. */
  readonly length: number
}

/** Rows shorter than that on average say little about a model that reads whole pages. */
const SHORT_ROW = 64
const MOSTLY = 0.95
const ONE_DOCUMENT = 0.5
const MANY_DUPLICATES = 0.05

/** What one should know before calibrating on such data. */
export function surveyConcerns(
  { rows: { count, tokens }, languages, documents }: Omit<DataSurvey, 'warnings'>,
  { rows, tokenizer: { prefix, decode }, widest, length }: SurveyedRows,
): string[] {
  const percent = (share: number) => `${Math.round(100 * share)} %`
  const bare = rows.filter((row) => !prefix.every((id, i) => row[i] === id)).length
  const said: string[] = []
  const mean = tokens / count
  if (mean < Math.min(SHORT_ROW, length))
    said.push(`rows are short: ${mean.toFixed(0)} tokens on average, ${SHORT_ROW} or more tell more of a model`)
  if (widest !== null && tokens < widest)
    said.push(`${tokens} tokens are fewer than the ${widest} inputs of the model's widest linears: take more rows or longer ones`)
  if (bare > 0) said.push(`${bare} of ${count} rows do not begin with ${decode(prefix)}, which the tokenizer puts before every text`)
  const [most] = languages
  if (most && most.share >= MOSTLY && (documents?.read ?? 0) > 1)
    said.push(
      `${percent(most.share)} of the documents are in one language, ${most.language}: right for a model that is to read nothing else`,
    )
  if (documents && documents.longestShare > ONE_DOCUMENT)
    said.push(
      `${percent(documents.longestShare)} of the text is one document: ${documents.read === 1 ? 'several' : 'more even ones'} tell more of a model`,
    )
  if (documents && documents.duplicates / documents.read > MANY_DUPLICATES)
    said.push(`${documents.duplicates} of ${documents.read} documents are there more than once`)
  return said
}
