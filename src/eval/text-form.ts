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

// What windows have been in this program from the start; that of transformers' and of the usual single-document figures.
const WINDOW: Readonly<Record<TextForm, number>> = { windows: 512, rows: 1024, text: Number.POSITIVE_INFINITY }

/**
 * The token rows that a model is scored on. `context`: what is long enough for all models that are to read the same rows.
 * Errors: UserError for windows that the model has no positions for, DataError as `loadRows`.
 */
export async function textRows(
  { model }: OpenModel,
  tokenizer: () => Promise<Tokenizer>,
  { dataset, form = 'windows', window, windows = ALL }: TextRequest,
  context: number,
  hub: HubOptions,
): Promise<Rows> {
  const length = window ?? Math.min(WINDOW[form], context)
  if (length < 2 || length > context)
    throw new UserError(`Cannot score windows of ${length} tokens: the model has ${context} positions, expected 2 to that.`)
  const { rows, source, warnings } = await loadRows({
    dataset,
    tokenizer,
    samples: form === 'text' ? 1 : windows,
    length: Number.isFinite(length) ? length : ALL,
    seed: 0,
    vocab: model.vocab,
    context,
    purpose: 'evaluation',
    hub,
    ...(form === 'rows' && { rows: 'truncate' }),
  })
  // That there are fewer windows than ALL says nothing, nor that a text that is to be one window is.
  const said = warnings.filter((warning) => !warning.includes(String(ALL)) && !(form === 'text' && warning.includes('fewer than one row')))
  return { rows, source, warnings: said }
}
