/** A mean over questions, and its standard error; null where there is only one question. */
export interface Metric {
  value: number
  stderr: number | null
}

/** What a model made of one question. */
export interface Answer {
  /** With the examples before it. */
  prompt: string
  /** Log likelihood of each choice, in nats; absent where the answer is written. */
  scores?: number[]
  /** What was written, where it was. */
  text?: string
  /** The answer that each filter found in the text. */
  found?: Record<string, string>
  /** What each metric has for it, 0 or 1. */
  metrics: Record<string, number>
}

/** A task's score, with the harness's names: `acc,none`, `exact_match,strict-match`. */
export interface TaskScore {
  task: string
  version: number
  shots: number
  /** Where the questions came from. */
  source: string
  /** Questions that were asked, and those there are. */
  asked: number
  of: number
  metrics: Record<string, Metric>
  answers: Answer[]
  /** What is out of the ordinary: prompts that were cut. */
  notes: string[]
  seconds: number
}

/** Means over answers of each metric, with the standard error of a mean (n - 1 in the variance). */
export function metricsOf(answers: readonly Answer[]): Record<string, Metric> {
  const names = Object.keys(answers[0]?.metrics ?? {})
  return Object.fromEntries(names.map((name) => [name, meanOf(answers.map(({ metrics }) => metrics[name]))]))
}

function meanOf(values: readonly number[]): Metric {
  const count = values.length
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0)
  const value = sum(values) / count
  const squares = sum(values.map((one) => (one - value) ** 2))
  return { value, stderr: count > 1 ? Math.sqrt(squares / (count - 1)) / Math.sqrt(count) : null }
}

/** Index of the largest, the first of equals. */
export function largest(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0)
}

/** The metric that a task is mostly reported with: the one normalised by length, or the stricter match. */
export function shownMetric(metrics: Record<string, Metric>): [string, Metric] {
  const all = Object.entries(metrics)
  return all.find(([name]) => name.startsWith('acc_norm')) ?? all[0]
}
