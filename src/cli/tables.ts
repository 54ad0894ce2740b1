import { isAbsolute, relative } from 'node:path'
import Table from 'cli-table3'
import type { Perplexity } from '../eval/perplexity.ts'
import type { Verification } from '../eval/verify.ts'
import type { LinearReport } from '../modifiers/modifier.ts'
import type { RunRecord } from '../report/record.ts'
import { foldLayers, splitLayer } from '../util/layer-names.ts'
import { colorsFor } from './colors.ts'
import { clipStart, formatBytes, formatCount, formatPercent, formatSeconds, plural, shellWord } from './format.ts'

/** Widest name that leaves a table within 100 columns. */
const NAME_WIDTH = 24

export interface Column {
  title: string
  align?: 'left' | 'right'
}

/** A table without rules: bold titles, columns two spaces apart. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const { bold } = colorsFor(process.stdout)
  const blank = Object.fromEntries(
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
      .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'])
      .map((part) => [part, part === 'middle' ? '  ' : '']),
  )
  const drawn = new Table({
    head: columns.map(({ title }) => bold(title)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: blank,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  drawn.push(...rows.map((row) => [...row]))
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

/** Names and values below each other: `Size   17.1 MB → 5.6 MB`. */
export function facts(entries: readonly (readonly [string, string])[]): string {
  const { dim } = colorsFor(process.stdout)
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `${dim(name.padEnd(width))}  ${value}`).join('\n')
}

/** What happened to every linear: a row each, the layer's number on its first. */
export function linearsTable(linears: readonly LinearReport[]): string {
  const withRtn = linears.some(({ rtnError }) => rtnError !== undefined)
  const withHeldBack = linears.some(({ heldBackError }) => heldBackError !== undefined)
  const columns: Column[] = [
    { title: 'Layer', align: 'right' },
    { title: 'Linear' },
    { title: 'Method' },
    { title: 'Scheme' },
    { title: errorTitle(linears), align: 'right' },
    ...(withHeldBack ? [{ title: 'Held back', align: 'right' } as const] : []),
    ...(withRtn ? [{ title: 'RTN', align: 'right' } as const] : []),
    { title: 'Seconds', align: 'right' },
  ]
  let previous: number | undefined
  const percentOrNone = (value: number | undefined) => (value === undefined ? '' : formatPercent(value))
  const rows = linears.map(({ name, method, rescaled = [], scheme, error, heldBackError, rtnError, seconds }) => {
    const parts = splitLayer(name)
    const layer = parts && parts.layer !== previous ? String(parts.layer) : ''
    previous = parts?.layer
    return [
      layer,
      clipStart(parts?.rest || name, NAME_WIDTH),
      [...rescaled.map(({ by }) => by), method].join(' + '),
      scheme,
      formatPercent(error),
      ...(withHeldBack ? [percentOrNone(heldBackError)] : []),
      ...(withRtn ? [percentOrNone(rtnError)] : []),
      seconds.toFixed(2),
    ]
  })
  return table(columns, rows)
}

/** What the errors are of, where they are all of the same. */
function errorTitle(linears: readonly LinearReport[]): string {
  if (linears.every(({ errorOf }) => errorOf === 'outputs')) return 'Output error'
  return linears.every(({ errorOf }) => errorOf === 'weights') ? 'Weight error' : 'Error'
}

/** `3.4 MB → 1.2 MB (35.1 %, 2.85 times smaller)`. */
export function sizeChange({ before, after }: RunRecord['size']): string {
  return `${formatBytes(before)} → ${formatBytes(after)} (${formatPercent(after / before)}, ${(before / after).toFixed(2)} times smaller)`
}

/** Scores of the same text before and after. */
export interface Scores {
  before: Perplexity
  after: Perplexity
}

/** The end of a run: the linears, what came of it, what was out of the ordinary, what to do next. Fits 100 columns but for paths. */
export function closingReport(record: RunRecord, scores?: Scores): string {
  const { seconds, engine, data, warnings } = record
  const { yellow, bold } = colorsFor(process.stdout)
  const entries: [string, string][] = [['Size', sizeChange(record.size)]]
  if (scores) entries.push(['Perplexity', perplexityChange(scores)])
  entries.push(
    ['Untouched', record.untouched.length ? foldLayers(record.untouched).join(', ') : 'no linear'],
    ['Data', data ? `${data.source}, ${plural(data.rows, 'row')}, ${formatCount(data.tokens)} tokens` : 'none needed'],
    ['Engine', `${engine.name}, ${engine.detail}`],
    ['Time', `${formatSeconds(seconds.total)} in all, ${formatSeconds(seconds.layers)} for the layers`],
    ['Memory', `${formatBytes(record.peakMemory)} at most`],
    ['Checkpoint', record.output],
    ...(record.pushed ? [['Pushed to', record.pushed.url] as [string, string]] : []),
  )
  return [
    linearsTable(record.linears),
    ...errorNote(record.linears),
    facts(entries),
    ...(record.remarks.length ? [`${bold('Remarks')}\n${record.remarks.map((text) => `  ${text}`).join('\n')}`] : []),
    ...(warnings.length ? [`${yellow(bold('Warnings'))}\n${warnings.map((text) => `  ${text}`).join('\n')}`] : []),
    nextSteps(record, scores),
  ].join('\n\n')
}

/** What the error columns mean, where they are of the outputs: `verify` shows those of the weights, which are others. */
function errorNote(linears: RunRecord['linears']): string[] {
  if (!linears.some(({ errorOf }) => errorOf === 'outputs')) return []
  return [
    'Output error: lost share of the squared outputs on the calibration rows, by 256 rows of a weight that has more with scales of their own; RTN: with plain rounding',
  ]
}

/** `24.31 → 24.95 (+2.63 %) over 96 windows of 256 tokens of docs-text (built in)`. */
export function perplexityChange({ before, after }: Scores): string {
  const growth = after.perplexity / before.perplexity - 1
  const change = `${growth < 0 ? '' : '+'}${formatPercent(growth)}`
  return `${before.perplexity.toFixed(2)} → ${after.perplexity.toFixed(2)} (${change}) over ${plural(after.windows, 'window')} of ${after.window} tokens of ${after.text}`
}

function nextSteps({ model, output, format }: RunRecord, scores?: Scores): string {
  const { bold } = colorsFor(process.stdout)
  const out = shellWord(shortPath(output))
  // The same windows again: perplexity depends on their length and on where they end.
  const windows = scores ? ` --window ${scores.after.window} --windows ${scores.after.windows}` : ''
  const commands = facts([
    ['  check', `npx llmpress verify ${out} --against ${shellWord(model)}`],
    ['  score', `npx llmpress eval ${out} --perplexity docs-text${windows}`],
    // vLLM has no bitsandbytes; transformers loads such a checkpoint, and this generates with it.
    format === 'bitsandbytes' ? ['  try', `npx llmpress generate ${out} --prompt "I have a dream"`] : ['  serve', `vllm serve ${out}`],
  ])
  return `${bold('Next')}\n${commands}`
}

/** A path as one would type it here: relative to the working directory where it lies below it. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path)
  return short && !short.startsWith('..') && !isAbsolute(short) ? `./${short}` : path
}

/** Every linear of a verified checkpoint: its scheme and, where there is an original, its error against it. */
export function verificationTable({ linears }: Verification): string {
  const compared = linears.some(({ error }) => error !== null)
  const columns: Column[] = [
    { title: 'Layer', align: 'right' },
    { title: 'Linear' },
    { title: 'Scheme' },
    ...(compared ? [{ title: 'Weight error', align: 'right' } as const] : []),
  ]
  let previous: number | undefined
  const rows = linears.map(({ name, scheme, error }) => {
    const parts = splitLayer(name)
    const layer = parts && parts.layer !== previous ? String(parts.layer) : ''
    previous = parts?.layer
    const shown = [layer, clipStart(parts?.rest || name, NAME_WIDTH), scheme ?? 'as it was']
    return compared ? [...shown, error === null ? '' : formatPercent(error)] : shown
  })
  return table(columns, rows)
}
