import { loadRows, type RowsRequest } from '../data/load-rows.ts'
import type { Dataset, RowMode, Rows } from '../data/rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { HubOptions } from '../hub/settings.ts'
import type { Model } from '../models/architecture.ts'
import type { Recipe } from '../recipe/recipe.ts'
import type { RowsWanted } from '../report/record.ts'
import { UserError } from '../util/errors.ts'
import type { Plan } from './plan.ts'

/**
 * What calibrates when nothing else is said: texts of fourteen kinds that come with the package, so that nothing is downloaded. On
 * SmolLM2-135M they lose less on a text of another kind than technical text alone does (README, "What it gives").
 */
export const DEFAULT_DATASET = 'mixed-text'

/** Rows when nothing else is said, as llm-compressor. */
export const DEFAULT_ROWS = 512

/** Rows when the run does not say: what the recipe's modifiers ask for, or 512. */
export function defaultRows({ modifiers }: Recipe): number {
  const asked = modifiers.flatMap(({ definition, options }) => definition.calibrationRows?.(options as never) ?? [])
  return asked.length > 0 ? Math.max(...asked) : DEFAULT_ROWS
}

/** Tokens per row when nothing else is said, where the model has as many positions. */
export const DEFAULT_LENGTH = 2048

/** Tokens per row when nothing else is said: 2048, or the model's positions where it has fewer. */
export function defaultLength({ maxPositions }: Model): number {
  return Math.min(DEFAULT_LENGTH, maxPositions)
}

export interface CalibrationOptions {
  /**
   * Calibration data: a built-in name, a well-known set, `org/name[@revision]` on the hub, a file, texts, conversations or token rows. The
   * built-in mixed-text by default, which needs no network.
   */
  dataset?: Dataset
  /** The subset and the split of a dataset of the hub; by default its own for calibration, or train. */
  datasetConfig?: string
  split?: string
  /** The key of the text, the messages or the token ids in objects and tables; by default the first of the usual ones that is there. */
  textColumn?: string
  /** `pack` joins documents and cuts them into rows of equal length, `truncate` makes each a row; by default as the data asks for. */
  rows?: RowMode
  /** Rows of calibration data; 512 by default. */
  numCalibrationSamples?: number
  /** Tokens per row; 2048 by default, or the model's positions where it has fewer. */
  maxSeqLength?: number
  /** 0 takes the rows in their order, any other number draws them at random, the same for the same number. */
  seed?: number
}

/** The token rows that calibrate a plan. Errors: UserError for rows longer than the model's positions; DataError as `loadRows`. */
export async function calibrationRows({ source, recipe }: Plan, options: CalibrationOptions & HubOptions): Promise<Rows> {
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
    samples: options.numCalibrationSamples ?? defaultRows(recipe),
    length,
    seed: options.seed ?? 0,
    vocab: model.vocab,
    context: model.maxPositions,
    ...rowOptions(options),
  })
}

/** The options of `calibrationRows` as the record has them. */
export function rowsWanted({ source: { model }, recipe }: Plan, options: CalibrationOptions): RowsWanted {
  const { dataset = DEFAULT_DATASET, datasetConfig, split, textColumn, rows, numCalibrationSamples = defaultRows(recipe) } = options
  return {
    dataset: typeof dataset === 'string' ? dataset : null,
    ...definedOf({ datasetConfig, split, textColumn, rows }),
    numCalibrationSamples,
    maxSeqLength: options.maxSeqLength ?? defaultLength(model),
  }
}

/** What options say about the source of the rows, in the words of `loadRows`. */
export function rowOptions(options: CalibrationOptions & HubOptions): Pick<RowsRequest, 'config' | 'split' | 'column' | 'rows' | 'hub'> {
  const { datasetConfig: config, split, textColumn: column, rows } = options
  return { ...definedOf({ config, split, column, rows }), hub: options }
}

/** Without the keys whose value is undefined. */
function definedOf<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
