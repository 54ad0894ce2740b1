import { createHash } from 'node:crypto'
import type { DataSurvey, LengthBin } from './data-survey.ts'
import { languageOf } from './language.ts'
import { loadRows, type RowsRequest } from './load-rows.ts'
import { type DataSource, openSource } from './source.ts'
import { surveyConcerns } from './survey-concerns.ts'
import { documentOf } from './text-rows.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A survey's needs beside those of the rows. */
export interface SurveyRequest extends RowsRequest {
  /** The most inputs that a linear of the model has: so many independent tokens make its Gram matrix regular. Null where not known. */
  widest: number | null
}

/** So much text is looked at: some seconds of tokenising. */
const CHARACTERS = 4_000_000
const DOCUMENTS = 20_000

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
      longestShare: found.longestShare,
      tokens: found.lengths.reduce((sum, length) => sum + length, 0),
      lengths: histogram(found.lengths),
    },
    vocabulary: { seen, size: tokenizer.vocabSize },
    languages: found ? shares(found.languages) : [],
    tokensPerSecond: found && found.seconds > 0 ? found.lengths.reduce((sum, length) => sum + length, 0) / found.seconds : 0,
    warnings: [],
  }
  survey.warnings = [...warnings, ...surveyConcerns(survey, { rows, tokenizer, widest: request.widest, length: request.length })]
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
