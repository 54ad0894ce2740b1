import { setImmediate } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'

/** A backend whose work goes on after its calls have returned. */
interface QueueingBackend {
  /** Resolves when at most a step's work is left to do. */
  pace?(): Promise<void>
}

/**
 * Between two steps of a long computation: lets timers and signals in, and waits where an engine is far behind. A GPU is handed work faster
 * than it is done, and what waits in its queue holds memory.
 */
export async function breathe(): Promise<void> {
  await setImmediate()
  await (tf.backend() as QueueingBackend).pace?.()
}
