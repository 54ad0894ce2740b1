import { channel } from 'node:diagnostics_channel'

/** The name of the diagnostics channel (node:diagnostics_channel) that spans are published on. */
export const SPANS = 'llmpress:span'

/** What work belongs to, from the whole to its parts. */
export type SpanCategory = 'stage' | 'step' | 'matmul' | 'kernel' | 'io'

/** A piece of work that is over. Spans nest: the parts of a piece are published before it. */
export interface Span {
  readonly category: SpanCategory
  readonly name: string
  /** Milliseconds as `performance.now()` has them. */
  readonly start: number
  readonly end: number
  /** Multiplications and additions, where their number is known. */
  readonly flops?: number
}

const spans = channel(SPANS)

/** Does `work` and publishes how long it took, or how long its promise took to settle. Costs nothing to speak of where nobody listens. */
export function span<T>(category: SpanCategory, name: string, work: () => T, flops?: number): T {
  if (!spans.hasSubscribers) return work()
  const start = performance.now()
  const publish = () =>
    spans.publish({ category, name, start, end: performance.now(), ...(flops !== undefined && { flops }) } satisfies Span)
  let result: T
  try {
    result = work()
  } catch (error) {
    publish()
    throw error
  }
  if (result instanceof Promise) return result.finally(publish) as T
  publish()
  return result
}
