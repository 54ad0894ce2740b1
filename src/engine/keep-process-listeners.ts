const EVENTS = ['uncaughtException', 'unhandledRejection'] as const

type Listener = (...args: unknown[]) => void

/**
 * Runs `load` and takes back the process-wide error handlers that it installs. tfjs's wasm module adds two that throw the error again
 * from a file of its own, which hides where an error of the host program came from.
 */
export async function keepProcessListeners<T>(load: () => Promise<T>): Promise<T> {
  const before = EVENTS.map((event) => process.rawListeners(event))
  try {
    return await load()
  } finally {
    EVENTS.forEach((event, i) => {
      for (const listener of process.rawListeners(event)) {
        if (!before[i].includes(listener)) process.removeListener(event, listener as Listener)
      }
    })
  }
}
