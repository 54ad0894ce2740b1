import { setTimeout } from 'node:timers/promises'

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

/** A `fetch` that asks again where the server is busy (429, 5xx), after what it says or twice as long each time, and stops at the signal. */
export function retryingFetch(signal: AbortSignal, { attempts, firstWait }: Patience = PATIENCE): typeof fetch {
  return async (input, init) => {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(input, { ...init, signal })
      if (!PASSING.has(response.status) || attempt === attempts) return response
      const wait = retryAfter(response) ?? firstWait * 2 ** (attempt - 1)
      if (wait > LONGEST_WAIT) return response
      await response.body?.cancel()
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
