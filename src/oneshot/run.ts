import type { CheckpointWriter } from '../checkpoint/writer.ts'
import type { OnProgress } from './events.ts'
import type { Fingerprint } from './fingerprint.ts'
import type { Journal, Resumable } from './journal.ts'
import type { Plan } from './plan.ts'

/** A run between plan and result. */
export interface Run {
  readonly plan: Plan
  readonly fingerprint: Fingerprint
  readonly writer: CheckpointWriter
  readonly journal: Journal
  /** What a stopped run had done, which is not done again. */
  readonly resumed: Resumable | null
  readonly signal: AbortSignal
  /** Asks to stop between two layers. */
  readonly stop: AbortSignal | null
  readonly onProgress: OnProgress
}
