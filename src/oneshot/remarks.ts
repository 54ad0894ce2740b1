import type { LinearReport } from '../modifiers/modifier.ts'
import type { SkippedStage } from '../report/record.ts'
import type { Plan } from './plan.ts'

/** Stages that the recipe's transforms leave as they are, with the reasons. */
export function skippedStages({ modifiers, source: { model } }: Plan): SkippedStage[] {
  return modifiers.flatMap(({ name, rescales }) =>
    (rescales ?? []).flatMap(({ layer, stage, skipped }) =>
      skipped === null ? [] : [{ by: name, stage: `${model.layerName(layer)} · ${stage.name}`, why: skipped }],
    ),
  )
}

/** What was out of the ordinary in a run, one sentence for each kind. What must alarm stands among the warnings. */
export function remarksOf(linears: readonly LinearReport[], skipped: readonly SkippedStage[]): string[] {
  const fallen = linears.filter(({ fallback }) => fallback)
  const raised = linears.filter(({ dampingAsked }) => dampingAsked !== undefined)
  const dead = linears.filter(({ deadColumns = 0 }) => deadColumns > 0)
  const clipped = linears.filter(({ clippedScales = 0 }) => clippedScales > 0)
  const reasons = new Map<string, SkippedStage[]>()
  for (const stage of skipped) {
    // The same in every layer but for its number.
    const kind = `${stage.by}: ${stage.why.replaceAll(/\.\d+\./g, '.*.')}`
    reasons.set(kind, [...(reasons.get(kind) ?? []), stage])
  }
  return [
    ...some(fallen, (count) => `${count} rounded plainly instead of what the recipe asks for`),
    ...some(raised, (count) => `${count} with more damping than asked for, up to ${most(raised, ({ damping }) => damping)}`),
    ...some(
      dead,
      (count) =>
        `${count} with input channels without any input on the calibration rows, up to ${most(dead, ({ deadColumns }) => deadColumns)}`,
    ),
    ...some(
      clipped,
      (count) =>
        `${count} with scales too small for their type, up to ${most(clipped, ({ clippedScales }) => clippedScales)}: what they scale became zero`,
    ),
    ...[...reasons.values()].map(
      (stages) =>
        `${stages[0].by} left ${stages.length} ${stages.length === 1 ? 'stage' : 'stages'} as they are: ${stages[0].why} (${stages[0].stage})`,
    ),
  ]
}

/** A sentence about some linears that ends in the name of the first. */
function some(linears: readonly LinearReport[], sentence: (count: string) => string): string[] {
  if (linears.length === 0) return []
  return [`${sentence(`${linears.length} ${linears.length === 1 ? 'linear' : 'linears'}`)} (${linears[0].name})`]
}

function most(linears: readonly LinearReport[], value: (report: LinearReport) => number | undefined): number {
  return linears.reduce((largest, report) => Math.max(largest, value(report) ?? 0), 0)
}
