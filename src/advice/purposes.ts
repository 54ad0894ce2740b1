import type { Goal } from './goals.ts'

/** What a model is compressed for: the rows of docs/guide.md's first table. */
export const PURPOSES = ['prototype', 'memory', 'production', 'fine-tuning', 'speed', 'quality'] as const
export type Purpose = (typeof PURPOSES)[number]

/** What a purpose asks of a recommendation. */
interface PurposeRule {
  /** What to be best at; null for a good deal of everything. */
  readonly goal: Goal | null
  /** Without calibration data. */
  readonly dataFree?: true
  /** Four bits, where they will do at all. */
  readonly fourBits?: true
  /** What is to be done beside it; a sentence. */
  readonly note?: string
}

export const PURPOSE_RULES: Readonly<Record<Purpose, PurposeRule>> = {
  prototype: { goal: 'quality', dataFree: true },
  memory: { goal: 'size' },
  production: { goal: null, fourBits: true },
  'fine-tuning': {
    goal: null,
    fourBits: true,
    note: 'Fine-tune the original first (QLoRA holds it in NF4 by bitsandbytes), merge the adapters into it, and compress what comes of it.',
  },
  speed: { goal: 'speed' },
  quality: { goal: 'quality' },
}
