import { requireWritable } from '../checkpoint/require-writable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import type { EvaluateOptions } from '../eval/evaluate.ts'
import type { Evaluation, ModelEvaluation } from '../eval/evaluation.ts'
import { writeResults } from '../eval/harness/results-file.ts'
import { outlierSentence } from '../eval/outlier-columns.ts'
import { reportScores } from '../eval/report-scores.ts'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { formatCount, formatPercent, formatSeconds, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { profiled } from './profile.ts'
import { layerProgress } from './progress.ts'
import { noteInReport } from './report-notes.ts'
import { type Column, table } from './tables.ts'

interface Output {
  json: boolean
  quiet: boolean
  /** Where results are written, a file for each model. */
  folder?: string
  profile?: string
  /** Checkpoints whose reports show the scores too. */
  reported: readonly string[]
}

/** Evaluates models and prints a table and a sentence on each. What failed is said on stderr, with exit code 2 at the end. */
export async function evaluateModels(options: EvaluateOptions, { json, quiet, folder, profile, reported }: Output): Promise<void> {
  // What cannot be written to is said before anything is computed.
  if (folder !== undefined) await requireWritable(folder, 'folder')
  const display = openDisplay({ quiet })
  const started = Date.now()
  const { limit } = options.taskOptions ?? {}
  const request = { started, batch: options.batch ?? 'auto', ...(limit !== undefined && { limit }) } as const
  const paths = new Map<string, string>()
  // What can no longer be written later is printed all the same.
  let lost: unknown = null
  const save = async ({ models }: Evaluation) => {
    if (folder === undefined) return
    lost = null
    for (const found of models) {
      if (!found.text && found.tasks.length === 0) continue
      try {
        paths.set(found.model, await writeResults(folder, found, request))
      } catch (cause) {
        lost = writeError(cause, folder)
      }
    }
  }
  try {
    const found = await profiled(profile, async () => {
      display.say(asked(options))
      const { evaluate } = await import('../index.ts')
      return interruptible((signal) =>
        evaluate({ ...options, signal, onDownload: downloadProgress(display), onStep: stepProgress(display), onFound: save }),
      )
    })
    display.stop()
    await save(found)
    const { red, yellow } = colorsFor(process.stderr)
    if (!quiet) for (const text of found.warnings) process.stderr.write(`${yellow('warning:')} ${text}\n`)
    if (json) printJson({ ...found, results: Object.fromEntries(paths) })
    else print(evaluationText(found, [...paths.values()]))
    for (const model of reported) {
      const scores = reportScores(found, model)
      if (scores) await noteInReport(model, { scores })
    }
    const failures = failuresOf(found.models)
    for (const text of failures) process.stderr.write(`${red('error:')} ${text}\n`)
    if (failures.length > 0) process.exitCode = 2
    if (lost !== null) throw lost
  } finally {
    display.stop()
  }
}

/** What is asked of whom. */
function asked({ models, against, text, tasks = [] }: EvaluateOptions): string {
  const all = against === undefined || models.includes(against) ? models : [against, ...models]
  const on = [...(typeof text?.dataset === 'string' ? [text.dataset] : []), ...tasks]
  return `${all.join(', ')}: scoring on ${on.join(', ')}`
}

/** A bar for each text or task of a model. */
function stepProgress(display: ReturnType<typeof openDisplay>): NonNullable<EvaluateOptions['onStep']> {
  let current = ''
  let show = layerProgress(display, '')
  return (what, done, of) => {
    if (what !== current) show = layerProgress(display, what)
    current = what
    show(done, of)
  }
}

/** A line each; a task that failed for all in the same way has one. */
function failuresOf(models: readonly ModelEvaluation[]): string[] {
  const tasks = new Map<string, { models: string[]; task: string; message: string }>()
  for (const { model, error, failedTasks } of models) {
    if (error !== null) continue
    for (const [task, message] of Object.entries(failedTasks)) {
      const key = `${task}\n${message}`
      tasks.set(key, { task, message, models: [...(tasks.get(key)?.models ?? []), model] })
    }
  }
  return [
    ...models.flatMap(({ model, error }) => (error === null ? [] : [`${model}: ${error}`])),
    ...[...tasks.values()].map(({ models: names, task, message }) => (names.length > 1 ? message : `${names[0]}, ${task}: ${message}`)),
  ]
}

/** A row for each model, what was scored, a sentence on each model. */
export function evaluationText({ models, text, seconds }: Evaluation, paths: readonly string[]): string {
  const scored = models.find((model) => model.text)?.text
  const what = scored
    ? `${text}: ${formatCount(scored.tokens)} tokens in ${plural(scored.windows, 'window')} of ${scored.window}, ${formatSeconds(seconds)} in all`
    : `${formatSeconds(seconds)} in all`
  const { dim } = colorsFor(process.stdout)
  const lines = models.flatMap(({ verdict, notes, outliers, tasks }) => [
    verdict,
    ...[
      ...(outliers ? [outlierSentence(outliers)] : []),
      ...notes,
      ...tasks.flatMap((task) => task.notes.map((note) => `${task.task}: ${note}`)),
    ].map((note) => dim(`  ${note}`)),
  ])
  return [scoresTable(models), '', dim(what), ...lines, ...paths.map((path) => dim(`written to ${path}`))].join('\n')
}

function scoresTable(models: readonly ModelEvaluation[]): string {
  const withText = models.some(({ text }) => text)
  const withOriginal = models.some(({ divergence }) => divergence)
  const metrics = [
    ...new Set(models.flatMap(({ tasks }) => tasks.flatMap(({ task, metrics: own }) => Object.keys(own).map((name) => `${task} ${name}`)))),
  ]
  const columns: Column[] = [
    { title: 'Model' },
    ...(withText ? [right('Perplexity')] : []),
    ...(withOriginal ? [right('KL divergence'), right('Same first'), right('Last layer')] : []),
    ...metrics.map((name) => right(name.replace(',none', '').replace(',', ' '))),
  ]
  const rows = models.map(({ model, text, divergence, tasks }) => [
    model,
    ...(withText ? [text ? text.perplexity.toFixed(4) : ''] : []),
    ...(withOriginal
      ? [
          divergence ? divergence.klDivergence.toFixed(5) : '',
          divergence ? formatPercent(divergence.topOneAgreement) : '',
          divergence?.layerErrors ? formatPercent(divergence.layerErrors[divergence.layerErrors.length - 1]) : '',
        ]
      : []),
    ...metrics.map((name) => {
      const [task, metric] = name.split(' ')
      const found = tasks.find((score) => score.task === task)?.metrics[metric]
      return found ? `${found.value.toFixed(4)}${found.stderr === null ? '' : ` ± ${found.stderr.toFixed(4)}`}` : ''
    }),
  ])
  return table(columns, rows)
}

function right(title: string): Column {
  return { title, align: 'right' }
}
