import type { RunRecord } from '../report/record.ts'
import { type OneshotOptions, oneshot } from './oneshot.ts'

/** The options of LLM.int8, by transformers' names. */
export interface BitsAndBytesInt8Options extends Omit<OneshotOptions, 'model' | 'recipe' | 'format'> {
  /** Only true: 8-bit weights. */
  load_in_8bit?: boolean
  /** Columns of inputs with a magnitude of this or more stay in 16 bits; 6 by default, 0: none. */
  llm_int8_threshold?: number
  /** Only false: true would keep the weights in 16 bits, for training. */
  llm_int8_has_fp16_weight?: boolean
  /** Modules to leave alone; the output projection by default. */
  llm_int8_skip_modules?: readonly string[]
  /** Stands in config.json. */
  llm_int8_enable_fp32_cpu_offload?: boolean
}

/** LLM.int8 of bitsandbytes behind the class that `Int8Quantizer` is the other of: `BitsAndBytesModifier` with `load_in_8bit`. Needs no data. */
export class BitsAndBytesInt8Quantizer {
  readonly #model: string

  /** `model`: a checkpoint folder, or a model of the hub; its tokenizer goes with it, so that another is of no use. */
  constructor(model: string, _tokenizer: string = model) {
    this.#model = model
  }

  /** Quantizes and writes the checkpoint. Errors: as `oneshot`. */
  async quantizeModel(options: BitsAndBytesInt8Options = {}): Promise<RunRecord> {
    const {
      load_in_8bit = true,
      llm_int8_threshold,
      llm_int8_has_fp16_weight,
      llm_int8_skip_modules,
      llm_int8_enable_fp32_cpu_offload,
      ...run
    } = options
    const asked = { llm_int8_threshold, llm_int8_has_fp16_weight, llm_int8_skip_modules, llm_int8_enable_fp32_cpu_offload }
    const given = Object.entries(asked).filter(([, value]) => value !== undefined)
    return oneshot({ ...run, model: this.#model, recipe: { BitsAndBytesModifier: { load_in_8bit, ...Object.fromEntries(given) } } })
  }
}
