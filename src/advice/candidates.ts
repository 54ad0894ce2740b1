/** A way to compress that a recommendation chooses from. */
export interface Candidate {
  readonly name: string
  readonly recipe: object
  /** Needs calibration data. */
  readonly calibrated: boolean
  /**
   * Growth of perplexity, as a share, measured: of docs-llama-4m and of SmolLM2-135M, as README's tables have them (rounding to W8A16, and groups
   * of 64: the same settings). Null where it was not measured.
   */
  readonly loss: { readonly 'docs-llama-4m': number; readonly 'SmolLM2-135M': number | null }
  /** Inputs are quantized too, so that products run in the narrow type: more requests a second, not only less memory. */
  readonly narrowProducts: boolean
}

const ORIGINAL = { docs: 23.678, smol: 17.264 }

function loss(docs: number, smol: number | null = null): Candidate['loss'] {
  return { 'docs-llama-4m': docs / ORIGINAL.docs - 1, 'SmolLM2-135M': smol === null ? null : smol / ORIGINAL.smol - 1 }
}

const ignore = ['lm_head']
const gptq = (scheme: string, quality: string) => ({ GPTQModifier: { scheme, group_size: 'auto', ignore, quality } })

/** From the most to the least exact. */
export const CANDIDATES: readonly Candidate[] = [
  {
    name: 'W8A16, rounding',
    recipe: { QuantizationModifier: { scheme: 'W8A16', group_size: 'auto', ignore } },
    calibrated: false,
    loss: loss(23.674, 17.282),
    narrowProducts: false,
  },
  {
    name: 'LLM.int8, bitsandbytes',
    recipe: { BitsAndBytesModifier: { load_in_8bit: true, ignore } },
    calibrated: false,
    loss: loss(23.687, 17.596),
    // Its products are of 8 bits, with so much around them that servers gain nothing.
    narrowProducts: false,
  },
  {
    name: 'W8A8, SmoothQuant and GPTQ',
    recipe: { SmoothQuantModifier: { smoothing_strength: 0.8 }, GPTQModifier: { scheme: 'W8A8', ignore } },
    calibrated: true,
    loss: loss(23.692),
    narrowProducts: true,
  },
  {
    name: 'FP8_DYNAMIC, rounding',
    recipe: { QuantizationModifier: { scheme: 'FP8_DYNAMIC', ignore } },
    calibrated: false,
    loss: loss(23.767),
    narrowProducts: true,
  },
  { name: 'W4A16, GPTQ best', recipe: gptq('W4A16', 'best'), calibrated: true, loss: loss(23.795, 18.42), narrowProducts: false },
  { name: 'W4A16, GPTQ', recipe: gptq('W4A16', 'balanced'), calibrated: true, loss: loss(23.832, 19.6), narrowProducts: false },
  {
    name: 'NF4, bitsandbytes',
    recipe: { BitsAndBytesModifier: { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true, ignore } },
    calibrated: false,
    loss: loss(23.936, 21.522),
    narrowProducts: false,
  },
  {
    name: 'W4A16, rounding',
    recipe: { QuantizationModifier: { scheme: 'W4A16', group_size: 'auto', ignore } },
    calibrated: false,
    loss: loss(24.07, 23.82),
    narrowProducts: false,
  },
  {
    name: 'W3, GPTQ best',
    recipe: {
      GPTQModifier: {
        config_groups: {
          group_0: { targets: ['Linear'], weights: { num_bits: 3, type: 'int', symmetric: true, strategy: 'group', group_size: 64 } },
        },
        ignore,
        quality: 'best',
      },
    },
    calibrated: true,
    loss: loss(24.225),
    narrowProducts: false,
  },
]
