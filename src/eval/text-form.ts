import { loadRows } from '../data/load-rows.ts'
import type { Dataset, Rows } from '../data/rows.ts'
import type { Tokenizer } from '../data/tokenizer.ts'
import type { HubOptions } from '../hub/settings.ts'
import type { OpenModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'

/**
 * How a text is cut for its perplexity. `windows`: all of it joined and cut into windows that do not overlap, the incomplete last one
 * dropped, as papers score WikiText-2. `rows`: each document alone, cut at the window's length, blank ones left out, tokens weighted alike.
 * `text`: as one, up to the window's length.
 */
export const TEXT_FORMS = ['windows', 'rows', 'text'] as const
export type TextForm = (typeof TEXT_FORMS)[number]

/** What of a text is scored. */
export interface TextRequest {
  readonly dataset: Dataset
  readonly form?: TextForm
  /** Tokens per window. */
  readonly window?: number
  /** At most so many windows or documents, from the start. */
  readonly windows?: number
}

/** Stands for all windows there are. */
const ALL = Number.MAX_SAFE_INTEGER

// 512 is what windows have been in this program from the start; 1024 is what those who score documents one by one cut them at.
const WINDOW: Readonly<Record<Exclude<TextForm, 'text'>, number>> = { windows: 512, rows: 1024 }

/**
 * The token rows that a model is scored on. `context`: positions that all models have that are to read the same rows.
 * Errors: UserError for windows that the model has no positions for, and for a `text` that is longer; DataError as `loadRows`.
 */
export async function textRows(
  { model }: OpenModel,
  tokenizer: () => Promise<Tokenizer>,
  { dataset, form = 'windows', window, windows = ALL }: TextRequest,
  context: number,
  hub: HubOptions,
): Promise<Rows> {
  if (window !== undefined && (window < 2 || window > context))
    throw new UserError(`Cannot score windows of ${window} tokens: the model has ${context} positions, expected 2 to that.`)
  const request = { dataset, tokenizer, seed: 0, vocab: model.vocab, purpose: 'evaluation', hub } as const
  if (form === 'text') return wholeText(await loadRows({ ...request, samples: 1, length: ALL }), window, context)
  const { rows, source, warnings } = await loadRows({
    ...request,
    samples: form === 'rows' ? ALL : windows,
    length: window ?? Math.min(WINDOW[form], context),
    context,
    ...(form === 'rows' && { rows: 'truncate', documents: windows }),
  })
  // That there are fewer windows than ALL says nothing.
  return { rows, source, warnings: warnings.filter((warning) => !warning.includes(String(ALL))) }
}

function wholeText({ rows: [row], source }: Rows, window: number | undefined, context: number): Rows {
  if (window === undefined && row.length > context)
    throw new UserError(
      `Cannot score ${source} as one text: it has ${row.length} tokens and the model ${context} positions, expected no more. Give --window to score its beginning, or leave --form out`,
    )
  return { rows: [row.subarray(0, window)], source, warnings: [] }
}
