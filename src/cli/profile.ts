import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { closeSync, openSync, writeSync } from 'node:fs'
import { Option } from 'commander'
import { UserError } from '../util/errors.ts'
import { SPANS, type Span } from '../util/span.ts'

/** Events written at a time. */
const AT_ONCE = 500

/** `--profile`, for every command that computes. */
export function profileOption(): Option {
  return new Option('--profile <file>', 'write where the time goes, as a trace for chrome://tracing or ui.perfetto.dev')
}

/**
 * Does `work` and writes its spans to `file`, one event a line, in Chrome's trace event format (the array form, which readers take without
 * its end too, so that a run that is killed leaves a trace). Does just the work where `file` is undefined.
 * Errors: UserError when the file cannot be written, before the work begins.
 */
export async function profiled<T>(file: string | undefined, work: () => Promise<T>): Promise<T> {
  if (file === undefined) return work()
  const trace = openTrace(file)
  let waiting: string[] = [JSON.stringify({ name: 'process_name', ph: 'M', pid: 1, tid: 1, args: { name: 'llmpress' } })]
  let separator = '[\n'
  const flush = () => {
    if (waiting.length === 0) return
    writeSync(trace, separator + waiting.join(',\n'))
    separator = ',\n'
    waiting = []
  }
  const onSpan = (message: unknown) => {
    waiting.push(JSON.stringify(traceEvent(message as Span)))
    if (waiting.length >= AT_ONCE) flush()
  }
  subscribe(SPANS, onSpan)
  try {
    return await work()
  } finally {
    unsubscribe(SPANS, onSpan)
    flush()
    writeSync(trace, '\n]\n')
    closeSync(trace)
  }
}

function openTrace(file: string): number {
  try {
    return openSync(file, 'w')
  } catch (cause) {
    throw new UserError(`Cannot write the profile ${file}: ${(cause as Error).message}, expected a file that can be made.`, { cause })
  }
}

/** A complete event; times in microseconds. */
function traceEvent({ category, name, start, end, flops }: Span): object {
  const gflops = flops === undefined ? {} : { args: { gflops: Math.round(flops / (end - start) / 1e4) / 100 } }
  return { name, cat: category, ph: 'X', pid: 1, tid: 1, ts: Math.round(start * 1000), dur: Math.round((end - start) * 1000), ...gflops }
}
