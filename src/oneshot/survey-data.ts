import { readConfig } from '../checkpoint/config.ts'
import type { DataSurvey } from '../data/data-survey.ts'
import { surveyRows } from '../data/survey.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { checkFolder, checkOptions } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import { type CalibrationOptions, DEFAULT_DATASET, DEFAULT_LENGTH, DEFAULT_ROWS, rowOptions } from './calibration.ts'
import { CALIBRATION } from './options.ts'

/** The options of `surveyData`: those of a run that say what calibrates. */
export interface SurveyOptions extends CalibrationOptions, HubOptions {}

/**
 * Shows what calibration data is like for a model: rows as `oneshot` would take them, lengths, duplicates, languages, share of the
 * vocabulary. Needs the model's tokenizer and config.json, not its weights nor its architecture. Errors: UserError and its kinds.
 */
export async function surveyData(model: string, options: SurveyOptions = {}): Promise<DataSurvey> {
  checkFolder('surveyData', model)
  checkOptions('surveyData', options, CALIBRATION)
  const { path, warnings } = await modelFolder(model, { ...options, weights: false })
  const config = await readConfig(path)
  const number = (key: string) => (typeof config[key] === 'number' && Number.isInteger(config[key]) ? config[key] : null)
  const context = number('max_position_embeddings') ?? Number.POSITIVE_INFINITY
  const length = options.maxSeqLength ?? Math.min(DEFAULT_LENGTH, context)
  if (length > context)
    throw new UserError(
      `Cannot look at rows of ${length} tokens: the model has ${context} positions, expected a --max-seq-length up to that.`,
    )
  const tokenizer = await loadTokenizer(path)
  const survey = await surveyRows({
    ...rowOptions(options),
    dataset: options.dataset ?? DEFAULT_DATASET,
    tokenizer: async () => tokenizer,
    samples: options.numCalibrationSamples ?? DEFAULT_ROWS,
    length,
    seed: options.seed ?? 0,
    vocab: number('vocab_size') ?? tokenizer.vocabSize,
    context,
    widest: number('intermediate_size') ?? number('hidden_size'),
  })
  return { ...survey, warnings: [...warnings, ...survey.warnings] }
}
