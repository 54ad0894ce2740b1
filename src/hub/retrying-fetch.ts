import { setTimeout } from 'node:timers/promises'
import { isUnreachable, unreachableCode } from './unreachable.ts'

/** How often and how long is waited before asking again. */
export interface Patience {
  readonly attempts: number
  /** Milliseconds before the second attempt; each further wait is twice as long. */
  readonly firstWait: number
}

export const PATIENCE: Patience = { attempts: 5, firstWait: 500 }

/** Longer than that a Retry-After is not followed: the user should hear of it instead. */
const LONGEST_WAIT = 60_000

/** Answers that another attempt may change. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504])

/** What a machine without a network says, or one with the wrong HF_ENDPOINT: no wait changes it. */
const NO_WAY_THERE = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** Methods that may be sent twice (RFC 9110, 9.2.2). A POST whose answer was lost may have done its work. */
const REPEATABLE = new Set(['GET', 'HEAD', 'PUT'])

/**
 * A `fetch` that asks again where the server is busy (429, 5xx), after what it says or twice as long each time, and where a connection
 * breaks before there is an answer. Before anything has been answered, no way to the server is no connection at all, and said at once.
 * Stops at the signal.
 */
export function retryingFetch(signal: AbortSignal, { attempts, firstWait }: Patience = PATIENCE): typeof fetch {
  let answered = false
  const mayPass = (error: unknown, method = 'GET') =>
    isUnreachable(error) && REPEATABLE.has(method.toUpperCase()) && (answered || !NO_WAY_THERE.has(unreachableCode(error)))
  return async (input, init) => {
    for (let attempt = 1; ; attempt++) {
      let wait = firstWait * 2 ** (attempt - 1)
      try {
        const response = await fetch(input, { ...init, signal })
        answered = true
        if (!PASSING.has(response.status) || attempt === attempts) return response
        wait = retryAfter(response) ?? wait
        if (wait > LONGEST_WAIT) return response
        await response.body?.cancel()
      } catch (error) {
        if (attempt === attempts || !mayPass(error, init?.method)) throw error
      }
      await setTimeout(wait, undefined, { signal })
    }
  }
}

/** Milliseconds that the server asks for: seconds or a date (RFC 9110, 10.2.3); null where it asks for none. */
function retryAfter({ headers }: Response): number | null {
  const value = headers.get('retry-after')
  if (value === null) return null
  const wait = /^\d+$/.test(value) ? 1000 * Number(value) : Date.parse(value) - Date.now()
  return Number.isNaN(wait) ? null : Math.max(0, wait)
}
