import type { Dataset } from '../data/rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { EngineName } from '../engine/engine.ts'
import { withEngine } from '../engine/with-engine.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { isWide, openModel } from '../models/open-model.ts'
import { Contestant } from './contestant.ts'
import { checkPerplexity } from './options.ts'
import type { OutlierColumns } from './outlier-columns.ts'
import { scoreRows } from './score-rows.ts'
import { wholeRow } from './scored-row.ts'
import { type TextForm, textRows } from './text-form.ts'

export interface PerplexityOptions extends HubOptions {
  /** Text to score: a file, a built-in name, texts, or token rows. */
  dataset: Dataset
  /** How the text is cut: joined into `windows` (the default), `rows` of one document each, or as one `text`. */
  form?: TextForm
  /** Tokens per window; 512 by default, 1024 for `rows`, or the model's positions where it has fewer. Windows do not overlap. */
  window?: number
  /** At most so many windows, or documents for `rows`, from the start of the text; all by default. */
  windows?: number
  engine?: EngineName | 'auto'
  threads?: number
  /** Called as each layer begins and when all is done; `of` is the model's layers, times the blocks that a long text is scored in. */
  onLayer?(layer: number, of: number): void
}

export interface Perplexity {
  /** exp of the mean negative log likelihood of every token but the first of its window. */
  perplexity: number
  /** What was scored, as people call it: `docs-text (built in)`, a file's path. */
  text: string
  /** Tokens that were predicted. */
  tokens: number
  windows: number
  /** Tokens of the longest window. */
  window: number
  /** Of LLM.int8 checkpoints. */
  outliers?: OutlierColumns
  seconds: number
  /** What is out of the ordinary: a text that is too short for one window, rows that were cut. */
  warnings: string[]
}

/**
 * Perplexity of a checkpoint, original or compressed, on a text: joined, tokenised, cut into windows, the incomplete last one dropped.
 * Activations are quantized where the checkpoint's scheme says so. Memory does not grow with the text but for its tokens. Calls take
 * turns where a process starts several, since they share one engine. Errors: UserError and its kinds.
 */
export async function perplexity(checkpoint: string, options: PerplexityOptions): Promise<Perplexity> {
  checkPerplexity(checkpoint, options)
  const started = performance.now()
  const folder = await modelFolder(checkpoint, options)
  const source = await openModel(folder.path)
  try {
    const {
      rows,
      source: text,
      warnings,
    } = await textRows(source, () => loadTokenizer(folder.path), options, source.model.maxPositions, options)
    const { engine = 'auto', threads, signal } = options
    const contestant = new Contestant(source)
    await withEngine({ engine, givesBack: isWide(source), ...(threads && { threads }), ...(signal && { signal }) }, () =>
      scoreRows([contestant], null, rows.map(wholeRow), options),
    )
    if (contestant.error) throw contestant.error
    const { scores, outliers } = contestant
    return {
      perplexity: perplexityOf(scores),
      text,
      tokens: scores.length,
      windows: rows.length,
      window: rows.reduce((longest, { length }) => Math.max(longest, length), 0),
      ...(outliers && { outliers }),
      seconds: (performance.now() - started) / 1000,
      warnings: [...folder.warnings, ...warnings],
    }
  } finally {
    await source.close()
  }
}

/** exp of the mean negative log probability, summed in double: a few hundred thousand terms of about 3 would lose digits in float32. */
export function perplexityOf(scores: readonly number[]): number {
  return Math.exp(-scores.reduce((sum, score) => sum + score, 0) / scores.length)
}
