import { HubApiError } from '@huggingface/hub'
import { PATIENCE, type Patience, retryingFetch } from './retrying-fetch.ts'
import type { HubSettings } from './settings.ts'

/** What the hub's client is told of a refused request, in `HubApiError.data`. */
export interface Refusal {
  /** The hub's name for it: `GatedRepo`, `RepoNotFound`, `EntryNotFound`; null where it gives none. */
  readonly code: string | null
  /** The hub's own words; null where it has none. */
  readonly error: string | null
}

/**
 * The `fetch` for one repository. The library sends the token wherever a file's address leads; this one sends it to the hub alone. What is
 * refused it throws as HubApiError with a `Refusal`, because the library's own message has the address in it, which may be signed, and its
 * streams keep nothing but that message. A file that is not there is an answer. Asks again as `retryingFetch`.
 */
export function hubFetch({ endpoint, signal }: HubSettings, patience: Patience = PATIENCE): typeof fetch {
  const ask = retryingFetch(signal, patience)
  const home = new URL(endpoint).origin
  return async (input, init) => {
    const { origin } = new URL(input instanceof Request ? input.url : input)
    const response = await ask(input, origin === home ? init : withoutToken(init))
    if (response.status < 400 || isMissingFile(response)) return response
    throw await refusalOf(response)
  }
}

function withoutToken(init: RequestInit = {}): RequestInit {
  const headers = new Headers(init.headers)
  headers.delete('authorization')
  return { ...init, headers }
}

/** The library gives null for that. */
function isMissingFile({ status, headers }: Response): boolean {
  return status === 404 && headers.get('x-error-code') === 'EntryNotFound'
}

async function refusalOf(response: Response): Promise<HubApiError> {
  const { status, url, headers } = response
  const { host, origin } = new URL(url)
  const error = readable(headers.get('x-error-message') ?? (await errorInBody(response)))
  const refusal: Refusal = { code: headers.get('x-error-code'), error }
  const message = `${host} answers with status ${status}${error === null ? '' : `: ${error}`}`
  const thrown = new HubApiError(origin, status, headers.get('x-request-id') ?? undefined, message)
  thrown.data = { ...refusal }
  return thrown
}

/** `error` of a JSON body. Stores behind the hub answer in XML that tells of keys and signatures: it is not read. */
async function errorInBody(response: Response): Promise<string | null> {
  if (!response.headers.get('content-type')?.includes('json')) {
    await response.body?.cancel().catch(() => {})
    return null
  }
  const body = (await response.json().catch(() => null)) as { error?: unknown; message?: unknown } | null
  const said = body?.error ?? body?.message
  return typeof said === 'string' ? said : null
}

/** One line of a bearable length. */
function readable(text: string | null): string | null {
  const line = text?.replace(/\s+/g, ' ').trim().slice(0, 500)
  return line ? line : null
}
