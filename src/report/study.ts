import type { WeightHistogram } from './histogram.ts'

/** A model's own name for what was studied: as it is, or after a quantizer of eight bits for each whole tensor. */
export type StudiedName = 'original' | 'absmax' | 'zero-point'

/** One of the three models of a study. */
export interface StudiedModel {
  readonly name: StudiedName
  /** exp of the mean negative log likelihood of the fixed text's tokens. */
  readonly perplexity: number
  /** |perplexity - the original's| */
  readonly perplexityDifference: number
  /** Mean KL(original ‖ this) over tokens, in nats. */
  readonly klDivergence: number
  /** Share of tokens for which both have the same most likely token. */
  readonly topOneAgreement: number
  /** Mean |weight - the original's|. */
  readonly meanError: number
  /** What it goes on with after the prompt. */
  readonly text: string
  readonly newTokens: number
  /** So many of the first new tokens are the original's. */
  readonly sameTokens: number
}

/** What the parameters take in one form. */
export interface StudiedSize {
  readonly name: StudiedName | 'LLM.int8()'
  /** Scales and zero points among them. */
  readonly bytes: number
  /** Of those, scales and zero points. */
  readonly scales: number
  /** How many times smaller than the original as it is stored, and the share that is saved. */
  readonly ratio: number
  readonly reduction: number
}

/** A weight at close quarters: the first of attention. */
export interface StudiedWeight {
  readonly name: string
  readonly file: string
  readonly shape: readonly number[]
  readonly dtype: string
  /** The first values in stored order, and their codes. */
  readonly values: readonly number[]
  readonly absmax: { readonly multiplier: number; readonly codes: readonly number[] }
  readonly zeroPoint: { readonly multiplier: number; readonly zeroPoint: number; readonly codes: readonly number[] }
}

/** What came of a study. */
export interface Study {
  /** As it was named. */
  readonly model: string
  readonly modelType: string
  readonly llmpress: string
  /** Values in all parameters, and how many tensors those are. */
  readonly parameters: number
  readonly tensors: number
  /** The model's files: their SHA-256 before and after, which are the same. */
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly before: string; readonly after: string }[]
  readonly prompt: string
  readonly sampling: { readonly maxLength: number; readonly topK: number; readonly temperature: number; readonly seed: number }
  /** The one text that all are scored on. */
  readonly text: { readonly name: string; readonly tokens: number; readonly windows: number; readonly window: number }
  readonly weight: StudiedWeight
  /** [bins + 1] */
  readonly edges: readonly number[]
  readonly histograms: readonly WeightHistogram[]
  /** The original first. */
  readonly models: readonly StudiedModel[]
  readonly sizes: readonly StudiedSize[]
  /** In a sentence or two. */
  readonly verdict: string
  readonly warnings: readonly string[]
  readonly seconds: number
}
