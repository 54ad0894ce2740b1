/** Seconds of several requests. */
export interface Latency {
  mean: number
  median: number
  min: number
  max: number
}

/** Bytes; null where they cannot be seen from here. */
export interface BenchMemory {
  /** Of the weights as they are held. */
  weights: number | null
  /** Resident set of the process once the checkpoint is loaded, and at most during each pass. */
  after_load: number | null
  sequential: number | null
  batch: number | null
}

/** What `llmpress bench` finds out about a checkpoint or a server: the document it writes. Seconds and bytes. */
export interface BenchResult {
  model: string
  llmpress: string
  /** ISO 8601 */
  date: string
  /** What computed: an engine, or the server's address. */
  runs_on: string
  threads: number | null
  prompts: number
  /** Of each prompt; null where the server counts them itself. */
  prompt_tokens: number | null
  max_new_tokens: number
  /** Null for a server, which has loaded it before. */
  load_seconds: number | null
  memory: BenchMemory
  /** One request after the other. */
  sequential: { latency: Latency; first_token: Latency; tokens: number; seconds: number; tokens_per_second: number }
  /** All at once; null where none of them was answered. */
  batch: { size: number; first_token: Latency; tokens: number; seconds: number; tokens_per_second: number } | null
  /** What went wrong with requests to a server after others had been answered. */
  errors: string[]
}

/** Errors: RangeError for none. */
export function latencyOf(seconds: readonly number[]): Latency {
  if (seconds.length === 0) throw new RangeError('Cannot sum up latencies: found none, expected at least one')
  const sorted = [...seconds].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { mean: seconds.reduce((sum, value) => sum + value, 0) / seconds.length, median, min: sorted[0], max: sorted[sorted.length - 1] }
}

/** One request: when its first token was there and when its last was, in seconds from when it was made. */
export interface Request {
  readonly first: number
  readonly seconds: number
  readonly tokens: number
}

/** Requests one after the other. */
export function sequentialOf(requests: readonly Request[]): BenchResult['sequential'] {
  const tokens = requests.reduce((sum, request) => sum + request.tokens, 0)
  const seconds = requests.reduce((sum, request) => sum + request.seconds, 0)
  return {
    latency: latencyOf(requests.map((request) => request.seconds)),
    first_token: latencyOf(requests.map(({ first }) => first)),
    ...{ tokens, seconds, tokens_per_second: tokens / seconds },
  }
}

/** Requests at once, over so many seconds in all. */
export function batchOf(requests: readonly Request[], seconds: number): NonNullable<BenchResult['batch']> {
  const tokens = requests.reduce((sum, request) => sum + request.tokens, 0)
  return {
    size: requests.length,
    first_token: latencyOf(requests.map(({ first }) => first)),
    ...{ tokens, seconds, tokens_per_second: tokens / seconds },
  }
}
