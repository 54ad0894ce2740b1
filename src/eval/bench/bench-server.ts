import { RunError, UserError } from '../../util/errors.ts'
import { packageVersion } from '../../util/package-version.ts'
import { checkBenchServer } from '../options.ts'
import { NEW_TOKENS } from './bench.ts'
import { type BenchResult, batchOf, type Request, sequentialOf } from './bench-result.ts'
import { BENCH_PROMPTS } from './prompts.ts'

export interface BenchServerOptions {
  /** What the server calls the model; the first that it lists by default. */
  model?: string
  prompts?: readonly string[]
  maxNewTokens?: number
  /** Seconds without an answer after which a request is given up; 120 by default. */
  timeout?: number
  /** Sent as a bearer token, where the server asks for one. */
  apiKey?: string
  signal?: AbortSignal
  now?: () => number
}

const TIMEOUT = 120

/**
 * How fast a server with OpenAI's interface answers (vLLM's among them): the prompts one after the other, then all at once, as streams, so
 * that the first token can be timed. A request before them warms up. After a request that fails no others are made, and the result says so.
 * Errors: RunError for a server that refuses, stalls or says nothing that can be read before anything is measured.
 */
export async function benchServer(url: string, options: BenchServerOptions = {}): Promise<BenchResult> {
  checkBenchServer(url, options)
  const { prompts = BENCH_PROMPTS, maxNewTokens = NEW_TOKENS, now = () => performance.now() } = options
  const base = addressOf(url)
  const model = options.model ?? (await firstModel(base, options))
  const ask = (prompt: string, tokens: number) => streamed(base, { model, prompt, tokens, now }, options)
  await ask(prompts[0], Math.min(2, maxNewTokens))
  const errors: unknown[] = []
  // What was measured is kept where a later request fails; where a server stalls, the first that waited in vain ends the pass.
  const sequential: Request[] = []
  for (const prompt of prompts) {
    if (errors.length > 0) break
    await ask(prompt, maxNewTokens).then(
      (found) => sequential.push(found),
      (error: unknown) => errors.push(error),
    )
  }
  options.signal?.throwIfAborted()
  if (sequential.length === 0) throw errors[0]
  const begun = now()
  const settled = await Promise.allSettled(errors.length > 0 ? [] : prompts.map((prompt) => ask(prompt, maxNewTokens)))
  const seconds = (now() - begun) / 1000
  options.signal?.throwIfAborted()
  const batch = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  for (const one of settled) if (one.status === 'rejected') errors.push(one.reason)
  return {
    model,
    llmpress: packageVersion(),
    date: new Date().toISOString(),
    runs_on: base,
    threads: null,
    prompts: prompts.length,
    prompt_tokens: null,
    max_new_tokens: maxNewTokens,
    load_seconds: null,
    memory: { weights: null, after_load: null, sequential: null, batch: null },
    sequential: sequentialOf(sequential),
    batch: batch.length === 0 ? null : batchOf(batch, seconds),
    errors: errors.map((error) => (error instanceof Error ? error.message : String(error))),
  }
}

/** Up to and with `/v1`. Errors: UserError for what is no address. */
function addressOf(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new UserError(`Cannot benchmark the server ${JSON.stringify(url)}: it is no address, expected one such as http://localhost:8000.`)
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1`
}

/** A request that may wait so long for the next sign of life. */
interface Patience {
  readonly signal: AbortSignal
  readonly seconds: number
  /** Whether it was given up. */
  isOver(): boolean
  renew(): void
  end(): void
}

function patience({ timeout = TIMEOUT, signal }: BenchServerOptions): Patience {
  const stalled = new AbortController()
  const start = () => setTimeout(() => stalled.abort(), 1000 * timeout)
  let timer = start()
  return {
    signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    seconds: timeout,
    isOver: () => stalled.signal.aborted,
    renew: () => {
      clearTimeout(timer)
      timer = start()
    },
    end: () => clearTimeout(timer),
  }
}

/** Does `work` with a request's patience, and says in words what went wrong; the caller's own reason to stop stays what it is. */
async function asked<T>(url: string, options: BenchServerOptions, work: (patient: Patience) => Promise<T>): Promise<T> {
  options.signal?.throwIfAborted()
  const patient = patience(options)
  try {
    return await work(patient)
  } catch (error) {
    if (error instanceof RunError) throw error
    options.signal?.throwIfAborted()
    if (patient.isOver())
      throw new RunError(`Cannot benchmark ${url}: no answer within ${patient.seconds} s, expected one. --timeout waits longer.`)
    const { cause, message } = error as Error & { cause?: { code?: unknown } }
    const code = typeof cause?.code === 'string' ? cause.code : message
    throw new RunError(`Cannot benchmark ${url}: the server cannot be reached, or broke off (${code}), expected an answer.`)
  } finally {
    patient.end()
  }
}

async function fetched(url: string, init: RequestInit, { signal }: Patience): Promise<Response> {
  const response = await fetch(url, { ...init, signal })
  if (response.ok) return response
  const text = (await response.text().catch(() => '')).slice(0, 300)
  throw new RunError(`Cannot benchmark ${url}: the server answered ${response.status}${text && `: ${text}`}, expected 200.`)
}

const authorization = ({ apiKey }: BenchServerOptions): Record<string, string> => (apiKey ? { authorization: `Bearer ${apiKey}` } : {})

async function firstModel(base: string, options: BenchServerOptions): Promise<string> {
  const url = `${base}/models`
  const listed = await asked(url, options, async (patient) =>
    (await fetched(url, { headers: authorization(options) }, patient)).json().catch(() => null),
  )
  const id = (listed as { data?: { id?: unknown }[] } | null)?.data?.[0]?.id
  if (typeof id === 'string') return id
  throw new RunError(`Cannot benchmark ${base}: its list of models names none, expected one, or its name by --model.`)
}

/** A completion as a stream of server-sent events. */
function streamed(
  base: string,
  { model, prompt, tokens, now }: { model: string; prompt: string; tokens: number; now: () => number },
  options: BenchServerOptions,
): Promise<Request> {
  const url = `${base}/completions`
  const body = {
    model,
    prompt,
    max_tokens: tokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  }
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...authorization(options) }, body: JSON.stringify(body) }
  return asked(url, options, async (patient) => {
    const begun = now()
    let [first, pieces, counted] = [0, 0, 0]
    for await (const event of events(await fetched(url, init, patient))) {
      patient.renew()
      const { choices = [], usage } = event as { choices?: { text?: unknown }[]; usage?: { completion_tokens?: unknown } | null }
      if (choices.some(({ text }) => typeof text === 'string' && text !== '') && pieces++ === 0) first = now()
      if (typeof usage?.completion_tokens === 'number') counted = usage.completion_tokens
    }
    if (pieces === 0) throw new RunError(`Cannot benchmark ${url}: the server wrote no token, expected ${tokens}.`)
    return { first: (first - begun) / 1000, seconds: (now() - begun) / 1000, tokens: counted || pieces }
  })
}

/** The JSON documents of a stream of events, to `[DONE]`. Errors: RunError for one that is no JSON, or an error of the server's. */
async function* events({ body, url }: Response): AsyncGenerator<unknown> {
  if (!body) return
  let left = ''
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    left += decoder.decode(chunk as Uint8Array, { stream: true })
    const lines = left.split(/\r?\n/)
    left = lines.pop() ?? ''
    for (const line of lines) {
      const data = /^data:\s*(.*)$/.exec(line)?.[1]
      if (data === undefined) continue
      if (data === '[DONE]') return
      yield documentOf(data, url)
    }
  }
}

function documentOf(data: string, url: string): unknown {
  let found: unknown
  try {
    found = JSON.parse(data)
  } catch {
    throw new RunError(`Cannot benchmark ${url}: an event of its stream is no JSON (${data.slice(0, 80)}), expected an object.`)
  }
  if (typeof found !== 'object' || found === null) throw new RunError(`Cannot benchmark ${url}: an event is ${data}, expected an object.`)
  if ('error' in found) throw new RunError(`Cannot benchmark ${url}: the server says ${JSON.stringify(found.error).slice(0, 300)}.`)
  return found
}
