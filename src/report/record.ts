import type { Method } from '../checkpoint/layouts/layout.ts'
import type { WrittenFile } from '../checkpoint/writer.ts'
import type { RowMode } from '../data/rows.ts'
import type { PushedRepo } from '../hub/push-folder.ts'
import type { LinearReport } from '../modifiers/modifier.ts'

export { REPORT_FILE } from '../checkpoint/old-checkpoint.ts'

/** A stage that a transform of the recipe left as it is. */
export interface SkippedStage {
  /** `AWQModifier` */
  by: string
  /** `model.layers.3 · attention output` */
  stage: string
  why: string
}

/** How many calibration tokens the router sent to each expert of a layer. */
export interface ExpertTokens {
  /** Full module name: `model.layers.3.mlp.experts`. */
  module: string
  /** By expert. */
  tokens: number[]
}

/** Bytes of the tensors of one kind, before and after. */
export interface KindSize {
  /** `Embeddings`, `Attention`, `MLP`, `Experts`, `Other linears`, `Norms and others`, `Head`. */
  readonly kind: string
  before: number
  after: number
}

/** The options that gave the calibration rows, defaults filled in: what it takes to read them again. */
export interface RowsWanted {
  /** Null for rows that were given in code: they stand nowhere else. */
  dataset: string | null
  datasetConfig?: string
  split?: string
  textColumn?: string
  rows?: RowMode
  numCalibrationSamples: number
  maxSeqLength: number
}

/** What a run did, as returned by `oneshot` and written beside the checkpoint as llmpress-report.json. */
export interface RunRecord {
  llmpress: string
  model: string
  output: string
  recipe: { name: string; text: string }
  /** Absent for compressed-tensors. */
  format?: Method
  /** SHA-256 of what the bytes follow from; see `Fingerprint`, which has the model by its sizes and times of change. */
  hashes: { model: string; recipe: string; data: string }
  /** The model's config.json and shards as they were read, with their sizes in bytes and their SHA-256. */
  sources: WrittenFile[]
  engine: { name: string; detail: string; threads: number }
  seed: number
  /** Null for a recipe that needs no data. */
  data: { source: string; rows: number; tokens: number; request: RowsWanted } | null
  linears: LinearReport[]
  /** How many calibration tokens were routed to each expert, by layer. Absent where there are no experts, or no data. */
  experts?: ExpertTokens[]
  /** Names of tensors of the original that were rescaled or rotated before anything else: they cannot be compared with it one by one. */
  rewritten: string[]
  /** Names of linears that stay as they were. */
  untouched: string[]
  /** Names of the tensors that no part of the architecture reads, copied as they are: vision towers, for one. */
  foreign: string[]
  /** Stages that a transform was to rescale and left as they are. */
  skipped: SkippedStage[]
  /** What was out of the ordinary and need not alarm: raised dampings, dead channels, stages left out. Sentences for the closing table. */
  remarks: string[]
  warnings: string[]
  /** Bytes of all tensors. */
  size: { before: number; after: number }
  /** The same by kind; absent from records of earlier versions. */
  kinds?: KindSize[]
  /** Wall time. */
  seconds: { data: number; layers: number; total: number }
  /** Largest resident set of the process, bytes. */
  peakMemory: number
  /** Bytes that the scratch file came to; absent where all fitted in memory. */
  scratch?: number
  /** All files of the checkpoint but this record itself, with their sizes on disk in bytes and their SHA-256. */
  files: WrittenFile[]
  /** Where the checkpoint was pushed to; absent from the file, which is part of it. */
  pushed?: PushedRepo
}
