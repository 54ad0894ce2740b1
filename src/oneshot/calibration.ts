import { loadRows } from '../data/load-rows.ts'
import type { Dataset, Rows } from '../data/rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { Model } from '../models/architecture.ts'
import { UserError } from '../util/errors.ts'
import type { Plan } from './plan.ts'

/**
 * What calibrates when nothing else is said: texts of fourteen kinds that come with the package, so that nothing is downloaded. On
 * SmolLM2-135M they lose less on a text of another kind than technical text alone does (README, "What it gives").
 */
export const DEFAULT_DATASET = 'mixed-text'

/** Rows when nothing else is said, as llm-compressor. */
export const DEFAULT_ROWS = 512

/** Tokens per row when nothing else is said: 2048, or the model's positions where it has fewer. */
export function defaultLength({ maxPositions }: Model): number {
  return Math.min(2048, maxPositions)
}

export interface CalibrationOptions {
  /** Calibration data: a built-in name, a file, texts, or token rows. The built-in mixed-text by default, which needs no network. */
  dataset?: Dataset
  /** Rows of calibration data; 512 by default. */
  numCalibrationSamples?: number
  /** Tokens per row; 2048 by default, or the model's positions where it has fewer. */
  maxSeqLength?: number
  /** 0 takes the rows in their order, any other number draws them at random, the same for the same number. */
  seed?: number
}

/** The token rows that calibrate a plan. Errors: UserError for rows longer than the model's positions; DataError as `loadRows`. */
export async function calibrationRows({ source }: Plan, options: CalibrationOptions): Promise<Rows> {
  const { model, path } = source
  const length = options.maxSeqLength ?? defaultLength(model)
  if (length > model.maxPositions) {
    throw new UserError(
      `Cannot calibrate with rows of ${length} tokens: the model has ${model.maxPositions} positions, expected a --max-seq-length up to that.`,
    )
  }
  return loadRows({
    dataset: options.dataset ?? DEFAULT_DATASET,
    tokenizer: () => loadTokenizer(path),
    samples: options.numCalibrationSamples ?? DEFAULT_ROWS,
    length,
    seed: options.seed ?? 0,
    vocab: model.vocab,
  })
}
