import type { LinearReport } from '../modifiers/modifier.ts'
import { splitLayer } from '../util/layer-names.ts'
import type { RunRecord } from './record.ts'
import type { ReportLinear, ReportRun, Sample, Scores } from './report-run.ts'
import type { StageStatistics } from './statistics.ts'
import { suggestionsFor } from './suggestions.ts'
import { keyFigures, scoreFigures, verdictOn } from './verdict.ts'

/** Linears whose histograms a page has room for: each takes 1.5 kB, and mixtures of experts have tens of thousands. */
const HISTOGRAMS = 512

/** What a run wrote down, and what stands beside it. */
export interface WrittenRun {
  /** The output folder's name. */
  readonly name: string
  readonly record: RunRecord
  /** Null where nothing was measured, or what was is gone. */
  readonly statistics: readonly StageStatistics[] | null
  readonly samples?: readonly Sample[]
  readonly scores?: Scores | null
}

/** All that is shown of a run, from what it wrote down. */
export function reportRun({ name, record, statistics, samples = [], scores = null }: WrittenRun): ReportRun {
  const { llmpress, model, output, recipe, hashes, engine, seed, data, remarks, warnings, size, seconds, files } = record
  const kept = statistics && withFewer(statistics, record.linears)
  return {
    name,
    verdict: verdictOn(record),
    figures: [...keyFigures(record), ...scoreFigures(scores)],
    linears: record.linears.map(shown),
    stages: kept?.stages ?? null,
    withoutHistogram: kept?.left ?? 0,
    kinds: record.kinds ?? [],
    experts: record.experts ?? [],
    suggestions: suggestionsFor(record, statistics),
    samples,
    scores,
    record: { llmpress, model, output, recipe, hashes, engine, seed, data, remarks, warnings, size, seconds, files },
  }
}

function shown({ checksum: _, ...report }: LinearReport): ReportLinear {
  const parts = splitLayer(report.name)
  const rest = parts?.rest || report.name
  return { ...report, layer: parts?.layer ?? null, kind: rest.replace(/\.\d+(?=\.|$)/g, '.*') }
}

/** The statistics without the histograms of linears that lost least, where there are too many. */
function withFewer(stages: readonly StageStatistics[], linears: readonly LinearReport[]): { stages: StageStatistics[]; left: number } {
  const all = stages.flatMap((stage) => stage.linears)
  const errors = new Map(linears.map(({ name, error }) => [name, error]))
  const worst = [...all].sort((a, b) => (errors.get(b.name) ?? 0) - (errors.get(a.name) ?? 0)).slice(0, HISTOGRAMS)
  const kept = new Set(worst.map(({ name }) => name))
  return {
    stages: stages.map((stage) => ({
      ...stage,
      linears: stage.linears.map((linear) => (kept.has(linear.name) ? linear : { ...linear, before: [], after: [] })),
    })),
    left: all.length - kept.size,
  }
}
