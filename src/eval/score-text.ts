import { loadTokenizer } from '../data/tokenizer.ts'
import type { HubOptions } from '../hub/settings.ts'
import { UserError } from '../util/errors.ts'
import { Contestant, type DivergenceSums } from './contestant.ts'
import type { Entrant } from './entrant.ts'
import type { Divergence, TextScore } from './evaluation.ts'
import { perplexityOf } from './perplexity.ts'
import { type ScoreOptions, scoreRows } from './score-rows.ts'
import { wholeRow } from './scored-row.ts'
import { type TextRequest, textRows } from './text-form.ts'

/** A model with the rows that it is scored on. */
interface Reader {
  readonly entrant: Entrant
  readonly rows: readonly Int32Array[]
  readonly contestant: Contestant
}

/**
 * Scores a text with all entrants: those with the original's tokens side by side with it, any other by itself. What came of it stands in the
 * entrants, their errors too. Gives the text's name. Errors: RunError, the signal's reason.
 */
export async function scoreText(
  entrants: readonly Entrant[],
  request: TextRequest,
  hub: HubOptions,
  options: ScoreOptions,
  warnings: string[],
): Promise<string | null> {
  const context = Math.min(...entrants.flatMap(({ source }) => source?.model.maxPositions ?? []))
  const readers: Reader[] = []
  let name: string | null = null
  for (const entrant of entrants) {
    await entrant.attempt(async (source) => {
      const { rows, source: text, warnings: said } = await textRows(source, () => loadTokenizer(source.path), request, context, hub)
      name ??= text
      for (const warning of said) if (!warnings.includes(warning)) warnings.push(warning)
      readers.push({ entrant, rows, contestant: new Contestant(source) })
    })
  }
  const original = readers.find(({ entrant }) => entrant.isOriginal) ?? null
  const [beside, alone] = parted(readers, (reader) => original !== null && sameRows(reader.rows, original.rows))
  if (beside.length > 0) await score(beside, original, options)
  for (const reader of alone) await score([reader], null, options)
  for (const reader of readers) {
    const { entrant, contestant, rows } = reader
    if (contestant.error) {
      entrant.fail(contestant.error)
      continue
    }
    entrant.found.text = textScore(contestant.scores, rows)
    if (contestant.outliers) entrant.found.outliers = contestant.outliers
    if (!original || entrant.isOriginal) continue
    if (beside.includes(reader)) entrant.found.divergence = divergenceOf(reader, original)
    else
      entrant.found.notes.push(
        `its tokenizer cuts the text into other tokens than that of ${original.entrant.name}: its perplexity is per token of its own and cannot be compared`,
      )
  }
  return name
}

async function score(readers: readonly Reader[], original: Reader | null, options: ScoreOptions): Promise<void> {
  const [{ rows }] = readers
  await scoreRows(
    readers.map(({ contestant }) => contestant),
    readers.length > 1 ? (original?.contestant ?? null) : null,
    rows.map(wholeRow),
    options,
  )
}

function sameRows(a: readonly Int32Array[], b: readonly Int32Array[]): boolean {
  return a.length === b.length && a.every((row, i) => row.length === b[i].length && row.every((id, k) => id === b[i][k]))
}

function parted<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))]
}

/** Errors: UserError where nothing was predicted. */
function textScore(scores: readonly number[], rows: readonly Int32Array[]): TextScore {
  if (scores.length === 0) throw new UserError('Cannot score the text: found no token that another stands before, expected one at least.')
  let weighted = 0
  let next = 0
  for (const { length } of rows) {
    let sum = 0
    for (const end = next + length - 1; next < end; next++) sum += scores[next]
    if (length > 1) weighted += (sum / (length - 1)) * length
  }
  const total = rows.reduce((sum, { length }) => sum + (length > 1 ? length : 0), 0)
  return {
    perplexity: perplexityOf(scores),
    lengthWeighted: Math.exp(-weighted / total),
    tokens: scores.length,
    windows: rows.length,
    window: rows.reduce((longest, { length }) => Math.max(longest, length), 0),
  }
}

function divergenceOf({ entrant, contestant }: Reader, original: Reader): Divergence | null {
  const { kl, agreed, tokens, hidden } = contestant.divergence
  const { name } = original.entrant
  if (original.contestant.error || tokens === 0) {
    const why = original.contestant.error
      ? 'it could not be evaluated'
      : `its vocabulary has ${original.contestant.source.model.vocab} tokens`
    entrant.found.notes.push(`is not compared with ${name}: ${why}`)
    return null
  }
  return {
    original: name,
    klDivergence: Math.max(0, kl / tokens),
    topOneAgreement: agreed / tokens,
    perplexityDifference: Math.abs(perplexityOf(contestant.scores) - perplexityOf(original.contestant.scores)),
    layerErrors: layerErrors(hidden, name, entrant.found.notes),
  }
}

// Rounding moves embeddings by a few percent at most; what enters the first layer of a rotated model has nothing in common with the original's.
const OTHER_BASIS = 0.5

function layerErrors(hidden: DivergenceSums['hidden'], original: string, notes: string[]): number[] | null {
  if (hidden.length === 0) {
    notes.push(`has layers of another number or size than ${original}: there are no errors by layer`)
    return null
  }
  const [first, ...errors] = hidden.map((sums) => sums.difference / sums.original)
  if (first <= OTHER_BASIS) return errors
  notes.push(`its hidden states are in another basis than those of ${original}, as after a rotation: there are no errors by layer`)
  return null
}
