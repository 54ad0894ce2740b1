import { AsyncLocalStorage } from 'node:async_hooks'
import * as tf from '@tensorflow/tfjs-core'
import { RunError } from '../util/errors.ts'
import { withRareCollections } from '../util/rare-collections.ts'
import type { OpenedEngine } from './engine.ts'
import { type OpenOptions, openEngine } from './open.ts'

export interface TurnOptions extends OpenOptions {
  /** Gives up waiting for the turn. Once the turn has come, `work` itself has to look at it. */
  signal?: AbortSignal
}

/** Resolves when the turns taken so far are over. It hangs at the object that it guards, which all copies of tfjs-core share. */
const TURNS = Symbol.for('llmpress.engine.turns')

/** The turn that the code at hand runs in: a run started inside another would wait for itself. */
const current = new AsyncLocalStorage<{ over: boolean }>()

/**
 * Opens an engine for the time of `work`. The tensor library has one backend per process, and opening an engine changes it for everyone:
 * so calls take turns, in the order they came, and each has its engine until its work is over.
 * Errors: as `openEngine`; the signal's reason when it aborts the wait; RunError for a call from within another one's work.
 */
export async function withEngine<T>({ signal, ...options }: TurnOptions, work: (engine: OpenedEngine) => Promise<T>): Promise<T> {
  if (current.getStore()?.over === false) {
    throw new RunError('Cannot start a run inside another: it would wait for the outer one to end, expected one after the other.')
  }
  const holder = tf.engine() as unknown as { [TURNS]?: Promise<void> }
  const before = holder[TURNS] ?? Promise.resolve()
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  holder[TURNS] = before.then(() => ended)
  const turn = { over: false }
  try {
    await untilAborted(before, signal)
    return await current.run(turn, () => withRareCollections(async () => work(await openEngine(options))))
  } finally {
    turn.over = true
    end()
  }
}

function untilAborted(wait: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return wait
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    wait.then(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
  })
}
