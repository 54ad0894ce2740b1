import { loadRows } from '../data/load-rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { openModel } from '../models/open-model.ts'
import type { FloatName } from '../numerics/dtype-names.ts'
import type { RunRecord } from '../report/record.ts'
import { DEFAULT_DATASET, defaultLength } from './calibration.ts'
import { type OneshotOptions, oneshot } from './oneshot.ts'

/** How `Int8Quantizer` decides: the options of the modifier of that name, and the length of its calibration rows. */
export interface Int8Options extends HubOptions {
  /** Symmetric where the score is above this; 0.6 by default. */
  symmetry_threshold?: number
  /** Rows of calibration data; 100 by default. */
  calibration_samples?: number
  /** Added to the standard deviation in the score; 1e-8 by default. */
  epsilon?: number
  strategy?: 'tensor' | 'channel'
  /** What scales are rounded to and stored as; the type of the weight by default. */
  scale_dtype?: FloatName
  /** Linears to leave alone; `lm_head` by default. */
  ignore?: readonly string[]
  /** Tokens of a row; 512 by default, or the model's positions where it has fewer. */
  length?: number
}

const SAMPLES = 100
const LENGTH = 512

/**
 * 8-bit quantization in two steps, for those who bring data of their own between them: `Int8Modifier` behind a class that holds a model, its
 * tokenizer and the options.
 */
export class Int8Quantizer {
  readonly #model: string
  readonly #tokenizer: string
  readonly #options: Int8Options

  /** `model`: a checkpoint folder, or a model of the hub; `tokenizer`: where its tokenizer is, if not there. */
  constructor(model: string, tokenizer: string = model, options: Int8Options = {}) {
    this.#model = model
    this.#tokenizer = tokenizer
    this.#options = options
  }

  /** Calibration rows of token ids, from texts that come with the package. Errors: DataError for a tokenizer that cannot be read. */
  async prepareCalibrationData(): Promise<number[][]> {
    const { calibration_samples: samples = SAMPLES, length, ...hub } = this.#options
    const { path } = await modelFolder(this.#model, hub)
    const source = await openModel(path)
    const { model } = source
    await source.close()
    const tokenizer = this.#tokenizer === this.#model ? path : (await modelFolder(this.#tokenizer, { ...hub, weights: false })).path
    const { rows } = await loadRows({
      dataset: DEFAULT_DATASET,
      tokenizer: () => loadTokenizer(tokenizer),
      samples,
      length: length ?? Math.min(LENGTH, defaultLength(model)),
      seed: 0,
      vocab: model.vocab,
      context: model.maxPositions,
      hub,
    })
    return rows.map((row) => [...row])
  }

  /** Quantizes and writes the checkpoint; each linear's `int8` in the record says how. Errors: as `oneshot`. */
  async quantizeModel(
    calibrationData: readonly (readonly number[])[],
    options: Omit<OneshotOptions, 'model' | 'recipe' | 'dataset' | 'numCalibrationSamples' | 'maxSeqLength'> = {},
  ): Promise<RunRecord> {
    const { symmetry_threshold, epsilon, strategy, scale_dtype, ignore = ['lm_head'] } = this.#options
    const given = Object.entries({ symmetry_threshold, epsilon, strategy, scale_dtype }).filter(([, value]) => value !== undefined)
    const length = Math.max(2, ...calibrationData.map((row) => row.length))
    return oneshot({
      ...options,
      model: this.#model,
      recipe: { Int8Modifier: { ignore, ...Object.fromEntries(given) } },
      dataset: calibrationData.map((row) => [...row]),
      numCalibrationSamples: calibrationData.length,
      maxSeqLength: length,
    })
  }
}
