import { formatBytes, formatCount, formatNumber, formatPercent, formatSeconds, plural } from '../util/format.js'
import type { RunRecord } from './record.ts'
import type { KeyFigure, Score, Scores, Verdict } from './report-run.ts'

/** A share of a linear's outputs or weights of which no scheme that is meant to be used loses so much. */
const POOR = 0.5

/** What came of a run, in words. */
export function verdictOn(record: RunRecord): Verdict {
  const { linears, warnings, size } = record
  if (linears.length === 0) return { grade: 'check', text: 'No linear was compressed.' }
  const worst = worstOf(linears)
  const fallen = linears.filter(({ fallback }) => fallback).length
  const kept = `${(size.before / size.after).toFixed(2)} times smaller. ${whatIsLost(linears)}; the worst is ${worst.name} with ${formatPercent(worst.error)}.`
  const trouble = [
    ...(fallen > 0 ? [`${plural(fallen, 'linear')} fell back to plain rounding`] : []),
    ...(warnings.length > 0 ? [`there ${warnings.length === 1 ? 'is 1 warning' : `are ${warnings.length} warnings`}`] : []),
  ]
  const rest = trouble.length > 0 ? `But ${trouble.join(', and ')}: see below.` : 'Nothing fell back, and nothing was warned of.'
  const grade = worst.error >= POOR ? 'poor' : trouble.length > 0 ? 'check' : 'good'
  return { grade, text: [kept, ...gain(linears), rest].join(' ') }
}

function whatIsLost(linears: RunRecord['linears']): string {
  const outputs = linears.every(({ errorOf }) => errorOf === 'outputs')
  const middle = formatPercent(median(linears.map(({ error }) => error)))
  return outputs
    ? `Half of the linears lose less than ${middle} of their outputs on the calibration rows`
    : `Half of the linears lose less than ${middle} of their weights, as squared error`
}

function gain(linears: RunRecord['linears']): string[] {
  const saved = savedOver(linears)
  if (saved === null) return []
  return [`The error is ${formatPercent(Math.abs(saved))} ${saved >= 0 ? 'less' : 'more'} than with plain rounding.`]
}

/** The share of plain rounding's error that the method saves, on average; null where it was not measured. */
function savedOver(linears: RunRecord['linears']): number | null {
  const measured = linears.flatMap(({ error, rtnError }) => (rtnError ? [error / rtnError] : []))
  return measured.length === 0 ? null : 1 - measured.reduce((sum, ratio) => sum + ratio, 0) / measured.length
}

/** What a page shows first, beside the verdict. */
export function keyFigures(record: RunRecord): KeyFigure[] {
  const { size, linears, seconds, peakMemory, data, engine } = record
  const errors = linears.map(({ error }) => error)
  const saved = savedOver(linears)
  const worst = linears.length > 0 ? worstOf(linears) : null
  const heldBack = linears.flatMap(({ heldBackError }) => heldBackError ?? [])
  return [
    {
      name: 'Size',
      value: formatBytes(size.after),
      note: `of ${formatBytes(size.before)}, ${(size.before / size.after).toFixed(2)} times smaller`,
    },
    ...(errors.length > 0
      ? [
          {
            name: 'Median error',
            value: formatPercent(median(errors)),
            note: `of ${linears.every(({ errorOf }) => errorOf === 'outputs') ? 'outputs' : 'weights'}, as squared error`,
          },
        ]
      : []),
    ...(heldBack.length > 0
      ? [{ name: 'On rows held back', value: formatPercent(median(heldBack)), note: 'the median, on text it was not fitted to' }]
      : []),
    ...(worst ? [{ name: 'Worst linear', value: formatPercent(worst.error), note: worst.name }] : []),
    ...(saved === null
      ? []
      : [
          {
            name: 'Against rounding',
            value: `${saved >= 0 ? '−' : '+'}${formatPercent(Math.abs(saved))}`,
            note: 'mean change of the error',
          },
        ]),
    { name: 'Linears', value: formatCount(linears.length), note: schemes(linears) },
    {
      name: 'Time',
      value: formatSeconds(seconds.total),
      note: `${engine.name === 'none' ? '' : `on the ${engine.name} engine, `}${formatBytes(peakMemory)} of memory at most`,
    },
    {
      name: 'Data',
      value: data ? `${formatCount(data.tokens)} tokens` : 'none needed',
      note: data ? `${plural(data.rows, 'row')} of ${data.source}` : 'weights alone',
    },
  ]
}

/** The figures of an evaluation, each beside the original's. */
export function scoreFigures(scores: Scores | null): KeyFigure[] {
  return (scores?.rows ?? []).map((score) => ({
    name: score.name,
    value: formatScore(score, score.value),
    note: score.original === null ? `against ${scores?.original ?? 'nothing'}` : `the original ${formatScore(score, score.original)}`,
  }))
}

function formatScore({ unit }: Score, value: number): string {
  // Perplexities that differ in their fourth digit are worth telling apart.
  return unit === 'share' ? formatPercent(value) : value < 0.1 ? formatNumber(value) : String(Number(value.toPrecision(4)))
}

function schemes(linears: RunRecord['linears']): string {
  return [...new Set(linears.map(({ method, scheme }) => `${method} ${scheme}`))].join(', ')
}

function worstOf(linears: RunRecord['linears']): RunRecord['linears'][number] {
  return linears.reduce((worst, linear) => (linear.error > worst.error ? linear : worst))
}

/** The middle value, the larger of two; NaN of nothing. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
