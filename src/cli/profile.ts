import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs'
import { Option } from 'commander'
import { UserError } from '../util/errors.ts'
import { SPANS, type Span } from '../util/span.ts'

/** Events written at a time. */
const AT_ONCE = 500

/** `--profile`, for every command that computes. */
export function profileOption(): Option {
  return new Option('--profile <file>', 'write where the time goes, as a trace for chrome://tracing or ui.perfetto.dev')
}

/** How the file begins: what is not a trace is not overwritten. */
const FIRST = JSON.stringify({ name: 'process_name', ph: 'M', pid: 1, tid: 1, args: { name: 'llmpress' } })
const BEGIN = `[\n${FIRST}`

/**
 * Does `work` and writes its spans to `file`, one event a line, in Chrome's trace event format (the array form, which readers take without
 * its end too, so that a run that is killed leaves a trace). Does just the work where `file` is undefined. A disk that is full costs the
 * trace, with a warning, and not the run.
 * Errors: UserError before the work begins, when the file cannot be written or is something else than a trace.
 */
export async function profiled<T>(file: string | undefined, work: () => Promise<T>): Promise<T> {
  if (file === undefined) return work()
  const trace = openTrace(file)
  let waiting: string[] = []
  let failure: unknown = null
  const write = (text: string) => {
    if (failure) return
    try {
      writeSync(trace, text)
    } catch (error) {
      failure = error
    }
  }
  const flush = () => {
    write(waiting.map((event) => `,\n${event}`).join(''))
    waiting = []
  }
  const onSpan = (message: unknown) => {
    waiting.push(JSON.stringify(traceEvent(message as Span)))
    if (waiting.length >= AT_ONCE) flush()
  }
  write(BEGIN)
  subscribe(SPANS, onSpan)
  try {
    return await work()
  } finally {
    unsubscribe(SPANS, onSpan)
    flush()
    write('\n]\n')
    closeSync(trace)
    if (failure) process.stderr.write(`warning: the profile ${file} is not whole: ${(failure as Error).message}\n`)
  }
}

function openTrace(file: string): number {
  try {
    requireTrace(file)
    return openSync(file, 'w')
  } catch (cause) {
    if (cause instanceof UserError) throw cause
    throw new UserError(`Cannot write the profile ${file}: ${(cause as Error).message}, expected a file that can be made.`, { cause })
  }
}

/** Errors: UserError for a file that is there and is no trace of an earlier run. */
function requireTrace(file: string): void {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats?.isFile() || stats.size === 0) return
  const start = Buffer.alloc(BEGIN.length)
  const handle = openSync(file, 'r')
  try {
    readSync(handle, start)
  } finally {
    closeSync(handle)
  }
  if (start.toString('latin1') === BEGIN) return
  throw new UserError(`Cannot write the profile ${file}: found another file there, expected none, or the profile of an earlier run.`)
}

/** A complete event; times in microseconds. */
function traceEvent({ category, name, start, end, flops }: Span): object {
  const gflops = flops === undefined ? {} : { args: { gflops: Math.round(flops / (end - start) / 1e4) / 100 } }
  return { name, cat: category, ph: 'X', pid: 1, tid: 1, ts: Math.round(start * 1000), dur: Math.round((end - start) * 1000), ...gflops }
}
