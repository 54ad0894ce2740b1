/** Ctrl-C, a request to terminate, or a terminal that was closed. Exit code 130. */
export class Interrupted extends Error {
  override name = 'Interrupted'
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Milliseconds within which a second signal is the first one once more. */
const SAME_SIGNAL = 300

/** Call it first thing: until a command has work that must be cleaned up, a signal ends the process at once, with exit code 130. */
export function quitOnSignals(): void {
  for (const name of SIGNALS) process.on(name, quit)
}

function quit(): void {
  process.stderr.write('error: Interrupted.\n')
  process.exit(130)
}

/** Work that can stop at a good place instead of at once. */
export interface Stoppable {
  /** Asked when a signal comes: whether it is where it can finish what it has in hand. */
  canStop(): boolean
  /** Said when it is asked to. */
  readonly message: string
}

/**
 * Runs `work` with a signal that the first SIGINT (Ctrl-C), SIGTERM or SIGHUP aborts, so that it can clean up; the second ends the process
 * at once. Where `stoppable` work can stop at a good place, the first aborts `stop` instead. The first one that comes when the work is done
 * changes nothing: the result is there and about to be printed.
 * Errors: Interrupted with `message` where the work gave way to the signal; Interrupted with what else stopped the work after the signal,
 * such as a child process that got it too; before the signal, or once it was asked to stop, what `work` throws.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal, stop: AbortSignal) => Promise<T>,
  message = 'Interrupted.',
  stoppable: Stoppable | null = null,
): Promise<T> {
  const controller = new AbortController()
  const stop = new AbortController()
  const { signal } = controller
  const seen = { signals: 0, first: 0, finished: false }
  const onSignal = () => {
    // npx and shells pass a Ctrl-C on that the process group got already: what follows at once is the same one.
    if (seen.signals++ > 0) return performance.now() - seen.first > SAME_SIGNAL ? process.exit(130) : undefined
    seen.first = performance.now()
    if (seen.finished) return
    if (stoppable?.canStop()) {
      process.stderr.write(`\n${stoppable.message}\n`)
      return stop.abort()
    }
    process.stderr.write('\nStopping and cleaning up; once more to quit at once.\n')
    controller.abort(new Interrupted(message))
  }
  for (const name of SIGNALS) process.on(name, onSignal).removeListener(name, quit)
  try {
    return await work(signal, stop.signal)
  } catch (error) {
    throw signal.aborted ? interruption(error, signal.reason) : error
  } finally {
    seen.finished = true
  }
}

/** What is said after a signal: a failure on the way out may leave something behind, and then `message` would not be true. */
function interruption(error: unknown, reason: unknown): unknown {
  if (error === reason || (error instanceof Error && error.name === 'AbortError')) return reason
  return new Interrupted(`Interrupted. ${error instanceof Error ? error.message : error}`, { cause: error })
}
