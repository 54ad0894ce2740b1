import type { TaskScore } from './harness/task-score.ts'
import type { OutlierColumns } from './outlier-columns.ts'

/** How well a model predicts a text. */
export interface TextScore {
  /** exp of the mean negative log likelihood of every token that is predicted. */
  perplexity: number
  /**
   * The same with each window's mean weighted by its length, its first token included, as programs have it that weight transformers' loss by
   * the number of tokens; differs where windows differ in length.
   */
  lengthWeighted: number
  /** Tokens that were predicted. */
  tokens: number
  windows: number
  /** Tokens of the longest window. */
  window: number
}

/** How far a checkpoint is from its original on the same tokens. */
export interface Divergence {
  /** The model it is compared with. */
  original: string
  /** Mean KL(original ‖ checkpoint) of the next token's probabilities over tokens, in nats. */
  klDivergence: number
  /** Share of tokens for which both have the same most likely token. */
  topOneAgreement: number
  /** |perplexity - the original's| */
  perplexityDifference: number
  /**
   * By layer, ‖difference‖² / ‖original's‖² of the hidden states that leave it, each model going its own way from the embedding on. Null
   * where hidden states are of other shapes or in another basis (a rotated model).
   */
  layerErrors: number[] | null
}

/** What `evaluate` found out about one model. */
export interface ModelEvaluation {
  /** As it was named. */
  model: string
  /** Whether it is the one that others are compared with. */
  isOriginal: boolean
  /** Why it could not be evaluated, wholly or in part; null where nothing went wrong. */
  error: string | null
  /** Null where no text was asked for, or it failed. */
  text: TextScore | null
  /** Null for the original, and for what cannot be compared with it. */
  divergence: Divergence | null
  /** Of LLM.int8 checkpoints, on the text. */
  outliers?: OutlierColumns
  tasks: TaskScore[]
  /** Tasks that failed, and why. */
  failedTasks: Record<string, string>
  /** What is out of the ordinary: other tokens than the original's, prompts that were cut. */
  notes: string[]
  /** One sentence. */
  verdict: string
}

export interface Evaluation {
  /** As they were given, the original of `against` first where it is none of them. */
  models: ModelEvaluation[]
  /** The text that was scored; null for none. */
  text: string | null
  seconds: number
  /** What is out of the ordinary for all of them. */
  warnings: string[]
}
