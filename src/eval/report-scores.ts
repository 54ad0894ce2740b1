import type { Score, Scores } from '../report/report-run.ts'
import type { Evaluation, ModelEvaluation } from './evaluation.ts'
import { shownMetric } from './harness/task-score.ts'

/** What an evaluation found out about one of its models, as report.html shows it; null where it found nothing. */
export function reportScores({ models, text }: Evaluation, model: string): Scores | null {
  const found = models.find((own) => own.model === model)
  if (!found) return null
  const original = found.isOriginal ? null : (models.find((own) => own.isOriginal) ?? null)
  const rows = [...textScores(found, original, text), ...taskScores(found, original)]
  return rows.length > 0 ? { verdict: found.verdict, original: original?.model ?? null, rows } : null
}

function textScores({ text: own, divergence }: ModelEvaluation, original: ModelEvaluation | null, text: string | null): Score[] {
  if (!own) return []
  const perplexity = {
    name: `Perplexity on ${text}, ${own.windows} × ${own.window} tokens`,
    unit: 'number',
    value: own.perplexity,
    original: original?.text?.perplexity ?? null,
  } as const
  if (!divergence) return [perplexity]
  return [
    perplexity,
    { name: 'KL divergence', unit: 'number', value: divergence.klDivergence, original: null },
    { name: 'Same first choice', unit: 'share', value: divergence.topOneAgreement, original: null },
  ]
}

function taskScores({ tasks }: ModelEvaluation, original: ModelEvaluation | null): Score[] {
  return tasks.map(({ task, metrics }) => {
    const [name, { value }] = shownMetric(metrics)
    const before = original?.tasks.find((other) => other.task === task)?.metrics[name]
    return { name: `${task} ${name.split(',')[0]}`, unit: 'share', value, original: before?.value ?? null }
  })
}
