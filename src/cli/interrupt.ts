/** Ctrl-C or a request to terminate. Exit code 130. */
export class Interrupted extends Error {
  override name = 'Interrupted'
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * Runs `work` with a signal that the first Ctrl-C (or SIGTERM) aborts, so that it can clean up; the second ends the process at once.
 * Errors: Interrupted whenever the signal was aborted, else what `work` throws.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130)
    process.stderr.write('\nStopping and cleaning up; once more to quit at once.\n')
    controller.abort(new Interrupted('Interrupted: nothing that looks like a checkpoint was left.'))
  }
  for (const name of SIGNALS) process.on(name, onSignal)
  try {
    return await work(controller.signal)
  } catch (error) {
    // Whatever gave way first, it did so because of the signal.
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    for (const name of SIGNALS) process.removeListener(name, onSignal)
  }
}
