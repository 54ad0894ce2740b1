import { createHash } from 'node:crypto'
import { languageOf } from './language.ts'
import { loadRows, type RowsRequest } from './load-rows.ts'
import { type DataSource, openSource } from './source.ts'
import { documentOf } from './text-rows.ts'
import type { Tokenizer } from './tokenizer.ts'

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
  /** The documents looked at; `all` is false where there are more of them than were read. Null for token rows. */
  documents: { read: number; all: boolean; duplicates: number; tokens: number; lengths: LengthBin[] } | null
  /** Share of the tokenizer's ids that the rows have. */
  vocabulary: { seen: number; size: number }
  /** Share of the documents by language, the most frequent first; those whose language cannot be told are left out. */
  languages: { language: string; share: number }[]
  /** What the tokenizer managed; 0 where nothing was tokenised. */
  tokensPerSecond: number
  warnings: string[]
}

/** A survey's needs beside those of the rows. */
export interface SurveyRequest extends RowsRequest {
  /** The most inputs that a linear of the model has: so many independent tokens make its Gram matrix regular. Null where not known. */
  widest: number | null
}

/** So much text is looked at: some seconds of tokenising. */
const CHARACTERS = 4_000_000
const DOCUMENTS = 20_000

/** Rows shorter than that on average say little about a model that reads whole pages. */
const SHORT_ROW = 64
const MOSTLY = 0.95
const ONE_DOCUMENT = 0.5
const MANY_DUPLICATES = 0.05

/** Looks at calibration data as a run would take it, and at its documents. Errors: as `loadRows`. */
export async function surveyRows(request: SurveyRequest): Promise<DataSurvey> {
  const tokenizer = await request.tokenizer()
  const { rows, source, warnings } = await loadRows({ ...request, tokenizer: async () => tokenizer })
  const found = await readDocuments(await openSource(request), tokenizer)
  const tokens = rows.reduce((sum, row) => sum + row.length, 0)
  const lengths = rows.map(({ length }) => length)
  const seen = new Set(rows.flatMap((row) => [...row])).size
  const survey: DataSurvey = {
    source,
    rows: { count: rows.length, tokens, shortest: Math.min(...lengths), longest: Math.max(...lengths) },
    sample: tokenizer.decode([...rows[0]]),
    documents: found && {
      read: found.texts,
      all: found.all,
      duplicates: found.duplicates,
      tokens: found.lengths.reduce((sum, length) => sum + length, 0),
      lengths: histogram(found.lengths),
    },
    vocabulary: { seen, size: tokenizer.vocabSize },
    languages: found ? shares(found.languages) : [],
    tokensPerSecond: found && found.seconds > 0 ? found.lengths.reduce((sum, length) => sum + length, 0) / found.seconds : 0,
    warnings: [],
  }
  survey.warnings = [...warnings, ...concerns(survey, rows, tokenizer, found, request)]
  return survey
}

interface Documents {
  texts: number
  all: boolean
  duplicates: number
  /** Tokens of each. */
  lengths: number[]
  /** How many documents by language. */
  languages: Map<string, number>
  /** Share of the characters that the longest has. */
  longestShare: number
  seconds: number
}

/** Null for token rows. */
async function readDocuments(source: DataSource, tokenizer: Tokenizer): Promise<Documents | null> {
  const hashes = new Set<string>()
  const found: Documents = { texts: 0, all: true, duplicates: 0, lengths: [], languages: new Map(), longestShare: 0, seconds: 0 }
  let characters = 0
  let longest = 0
  for await (const item of source.items(0)) {
    if (item.kind === 'tokens') return null
    if (characters >= CHARACTERS || found.texts >= DOCUMENTS) {
      found.all = false
      break
    }
    const { text } = documentOf(item, tokenizer)
    // Blank ones are part of some sets, and no documents.
    if (text.trim() === '') continue
    found.texts++
    characters += text.length
    longest = Math.max(longest, text.length)
    const hash = createHash('sha1').update(text).digest('base64')
    if (hashes.has(hash)) found.duplicates++
    hashes.add(hash)
    const started = performance.now()
    found.lengths.push(tokenizer.encodePlain(text).length)
    found.seconds += (performance.now() - started) / 1000
    const language = languageOf(item.kind === 'chat' ? item.messages.map(({ content }) => content).join('\n') : text)
    if (language !== null) found.languages.set(language, (found.languages.get(language) ?? 0) + 1)
  }
  found.longestShare = longest / Math.max(1, characters)
  return found
}

/** Bins of doubling width, from the first to the last that has any. */
function histogram(lengths: readonly number[]): LengthBin[] {
  const binOf = (length: number) => Math.floor(Math.log2(Math.max(1, length)))
  const bins = lengths.map(binOf)
  const [first, last] = [Math.min(...bins), Math.max(...bins)]
  return Array.from({ length: lengths.length === 0 ? 0 : last - first + 1 }, (_, i) => {
    const from = 2 ** (first + i)
    return { from, to: 2 * from, documents: bins.filter((bin) => bin === first + i).length }
  })
}

function shares(counts: ReadonlyMap<string, number>): DataSurvey['languages'] {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  return [...counts]
    .map(([language, count]) => ({ language, share: count / total }))
    .sort((a, b) => b.share - a.share || (a.language < b.language ? -1 : 1))
}

/** What one should know before calibrating on such data. */
function concerns(
  { rows: { count, tokens }, languages, documents }: DataSurvey,
  rows: readonly Int32Array[],
  { prefix, decode }: Tokenizer,
  found: Documents | null,
  { widest, length }: SurveyRequest,
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
  if (found && found.longestShare > ONE_DOCUMENT)
    said.push(
      `${percent(found.longestShare)} of the text is one document: ${found.texts === 1 ? 'several' : 'more even ones'} tell more of a model`,
    )
  if (documents && documents.duplicates / documents.read > MANY_DUPLICATES)
    said.push(`${documents.duplicates} of ${documents.read} documents are there more than once`)
  return said
}
