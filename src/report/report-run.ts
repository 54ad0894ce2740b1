import type { LinearReport } from '../modifiers/modifier.ts'
import type { ExpertTokens, KindSize, RunRecord } from './record.ts'
import type { StageStatistics } from './statistics.ts'

/** A linear as the report shows it. */
export interface ReportLinear extends Omit<LinearReport, 'checksum'> {
  /** Null outside the layers: the head. */
  readonly layer: number | null
  /** What it is called in every layer, experts by `*`: `self_attn.q_proj`, `mlp.experts.*.up_proj`. */
  readonly kind: string
}

/** A key figure: `Size`, `113.2 MB`, `2.38 times smaller`. */
export interface KeyFigure {
  readonly name: string
  readonly value: string
  readonly note: string
}

/** What came of a run, in a sentence or two. */
export interface Verdict {
  /** `check` where something asks to be looked at, `poor` where a linear is as good as lost. */
  readonly grade: 'good' | 'check' | 'poor'
  readonly text: string
}

/** A line of a diff: as it was, taken away, or added. */
export interface DiffLine {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

/** Something worth trying next. */
export interface Suggestion {
  readonly title: string
  /** What it should bring, and at what price. */
  readonly why: string
  /** The recipe with the change, and what differs; null where the recipe stays as it is. */
  readonly recipe: string | null
  readonly diff: readonly DiffLine[]
  /** Flags to add to the command. */
  readonly flags: string
}

/** Texts that models wrote for one prompt. */
export interface Sample {
  readonly prompt: string
  readonly texts: readonly { readonly name: string; readonly text: string }[]
}

/** How a checkpoint scored in an evaluation, beside its original where it was compared with one. */
export interface Scores {
  /** In a sentence or two. */
  readonly verdict: string
  /** Null where it was compared with none. */
  readonly original: string | null
  readonly rows: readonly Score[]
}

/** A figure of an evaluation: `Perplexity on docs-text`, 19.29 against 17.26. */
export interface Score {
  readonly name: string
  readonly unit: 'number' | 'share'
  readonly value: number
  /** Null where the original has none, or it says how far the two are apart. */
  readonly original: number | null
}

/** All that a page shows of one run. */
export interface ReportRun {
  /** The output folder's name. */
  readonly name: string
  readonly verdict: Verdict
  readonly figures: readonly KeyFigure[]
  readonly linears: readonly ReportLinear[]
  /** Null where nothing was measured, or what was is gone. */
  readonly stages: readonly StageStatistics[] | null
  /** Linears whose histograms were left out, since there are so many. */
  readonly withoutHistogram: number
  readonly kinds: readonly KindSize[]
  readonly experts: readonly ExpertTokens[]
  readonly suggestions: readonly Suggestion[]
  readonly samples: readonly Sample[]
  /** Null where it was not evaluated. */
  readonly scores: Scores | null
  readonly record: Pick<
    RunRecord,
    | 'llmpress'
    | 'model'
    | 'output'
    | 'recipe'
    | 'hashes'
    | 'engine'
    | 'seed'
    | 'data'
    | 'remarks'
    | 'warnings'
    | 'size'
    | 'seconds'
    | 'files'
  >
}
