import type { LinearReport } from '../modifiers/modifier.ts'
import type { RunRecord } from '../report/record.ts'

/** What a run tells while it goes on. */
export type ProgressEvent =
  | { type: 'plan'; model: string; output: string; layers: number; linears: number; needsInputs: boolean }
  | { type: 'engine'; name: string; detail: string }
  | { type: 'data'; source: string; rows: number; tokens: number }
  /** Rows do not fit in memory beside the rest: they wait in this file, of about so many bytes, while others are at work. */
  | { type: 'scratch'; path: string; bytes: number }
  /** `layers` of `of`, with so many compressed linears, are taken over from a run that was stopped. */
  | { type: 'resume'; layers: number; of: number; linears: number }
  /** The finished checkpoint of this very run stands in the output folder: nothing is computed. */
  | { type: 'found'; output: string }
  | { type: 'layer:start'; name: string; index: number; of: number }
  | { type: 'stage'; layer: string; stage: string; index: number; of: number }
  | { type: 'linear'; report: LinearReport }
  /** `seconds` since the first layer began; `etaSeconds` to the end of the last. */
  | { type: 'layer:done'; name: string; index: number; of: number; seconds: number; etaSeconds: number }
  /** The finished checkpoint on its way to the hub; bytes of all its files. */
  | { type: 'upload'; repo: string; file: string; sent: number; total: number }
  | { type: 'warning'; message: string }
  | { type: 'done'; record: RunRecord }

export type OnProgress = (event: ProgressEvent) => void
