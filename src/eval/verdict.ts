import { seeGuide } from '../util/see-guide.ts'
import type { Divergence, ModelEvaluation, TextScore } from './evaluation.ts'
import { type Metric, shownMetric, type TaskScore } from './harness/task-score.ts'

/** Up to here a checkpoint is close to its original. */
const CLOSE = 0.08

/**
 * What a divergence means in words, by the mean KL divergence in nats. The bounds stand between what llama.cpp's perplexity README measured
 * on Llama 3 8B and wikitext-2: 0.0014 with its 8-bit type, 0.005 and 0.011 with 6 and 5 bits, 0.031 with 4, 0.10 with 3, 0.45 with 2.
 */
const BOUNDS: readonly (readonly [number, string])[] = [
  [1e-6, 'computes what the original computes'],
  [0.002, 'can hardly be told from the original'],
  [0.02, 'is very close to the original'],
  [CLOSE, 'is close to the original'],
  [0.3, 'has lost a noticeable part of what the original can'],
  [Number.POSITIVE_INFINITY, 'has lost much of what the original can'],
]

/** One sentence on a model; `original` is what was found out about the model that it is compared with. */
export function verdictOf(found: Omit<ModelEvaluation, 'verdict'>, original: Pick<ModelEvaluation, 'text' | 'tasks'> | null): string {
  const { model, isOriginal, error, text, divergence, tasks, failedTasks } = found
  if (error !== null && !text && tasks.length === 0) return `${model} could not be evaluated: ${error}`
  const parts = [
    ...(text ? [divergence ? compared(text, divergence) : `has perplexity ${text.perplexity.toFixed(2)}`] : []),
    ...taskParts(tasks, isOriginal ? [] : (original?.tasks ?? [])),
  ]
  const failed = Object.keys(failedTasks)
  if (failed.length > 0) parts.push(`has no score for ${failed.join(', ')}`)
  if (parts.length === 0) return `${model} was not scored.`
  const role = isOriginal ? ', the original,' : ''
  const help = divergence && divergence.klDivergence > CLOSE ? seeGuide('quality') : ''
  return `${model}${role} ${parts.join('; ')}.${help}`
}

function compared({ perplexity }: TextScore, { klDivergence, topOneAgreement, perplexityDifference }: Divergence): string {
  const bound = BOUNDS.find(([most]) => klDivergence <= most) ?? BOUNDS[BOUNDS.length - 1]
  const agreement = `the same first choice for ${(100 * topOneAgreement).toFixed(1)} % of tokens`
  return `${bound[1]}: perplexity ${perplexity.toFixed(2)} (${perplexityDifference.toFixed(2)} apart), KL divergence ${Number(klDivergence.toPrecision(3))} nats, ${agreement}`
}

function taskParts(tasks: readonly TaskScore[], originals: readonly TaskScore[]): string[] {
  return tasks.map(({ task, metrics }) => {
    const [name, own] = shownMetric(metrics)
    const before = originals.find((other) => other.task === task)?.metrics[name]
    const against = before ? ` against ${percent(before.value)}${withinError(own, before) ? ', within the error' : ''}` : ''
    return `scores ${percent(own.value)} on ${task}${against}`
  })
}

/** Whether two scores are nearer than one standard error of their difference, taken as independent. */
function withinError(a: Metric, b: Metric): boolean {
  return Math.abs(a.value - b.value) <= Math.hypot(a.stderr ?? 0, b.stderr ?? 0)
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`
}
