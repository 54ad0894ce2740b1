import { loadTokenizer, type Tokenizer } from '../../data/tokenizer.ts'
import type { Engine, EngineName } from '../../engine/engine.ts'
import { withEngine } from '../../engine/with-engine.ts'
import { modelFolder } from '../../hub/model-folder.ts'
import type { HubOptions } from '../../hub/settings.ts'
import { openMatrices } from '../../kernels/open.ts'
import { isWide, openModel } from '../../models/open-model.ts'
import { UserError } from '../../util/errors.ts'
import { packageVersion } from '../../util/package-version.ts'
import { ResidentModel } from '../generation/resident-model.ts'
import { checkBench } from '../options.ts'
import { type BenchResult, batchOf, type Request, sequentialOf } from './bench-result.ts'
import { BENCH_PROMPTS } from './prompts.ts'

export interface BenchOptions extends HubOptions {
  /** Texts to go on from; five of the package's own by default. All are cut to the tokens of the shortest. */
  prompts?: readonly string[]
  /** New tokens for each prompt; 32 by default. Written whether or not the model would have ended before. */
  maxNewTokens?: number
  engine?: EngineName | 'auto'
  threads?: number
  /** Told of each pass as it begins. */
  onPass?: (pass: 'load' | 'warm-up' | 'sequential' | 'batch') => void
  /** Milliseconds; the clock by default. */
  now?: () => number
}

export const NEW_TOKENS = 32

/**
 * How fast a checkpoint, original or compressed, answers on this machine: time to load, then each prompt by itself, then all in one batch,
 * greedily; a request before them warms up and is not counted. Errors: UserError for prompts that do not fit; as `generate`.
 */
export async function bench(model: string, options: BenchOptions = {}): Promise<BenchResult> {
  checkBench(model, options)
  const { engine = 'auto', threads, signal } = options
  const folder = await modelFolder(model, options)
  const source = await openModel(folder.path)
  try {
    const rows = promptRows(options.prompts ?? BENCH_PROMPTS, await loadTokenizer(folder.path))
    const longest = rows[0].length + (options.maxNewTokens ?? NEW_TOKENS)
    if (longest > source.model.maxPositions)
      throw new UserError(
        `Cannot benchmark ${model}: prompts and new tokens are ${longest} tokens, expected at most its ${source.model.maxPositions} positions.`,
      )
    const work = (opened: Engine) => measure(model, source, rows, opened, options)
    return await withEngine({ engine, givesBack: isWide(source), ...(threads && { threads }), ...(signal && { signal }) }, work)
  } finally {
    await source.close()
  }
}

/** Prompts as rows of one length, that of the shortest. */
function promptRows(prompts: readonly string[], tokenizer: Tokenizer): Int32Array[] {
  const ids = prompts.map((prompt) => tokenizer.encode(prompt))
  const length = ids.reduce((least, own) => Math.min(least, own.length), Infinity)
  if (length < 1 || !Number.isFinite(length))
    throw new UserError(`Cannot benchmark with ${prompts.length} prompts: expected at least one, none of them empty.`)
  return ids.map((own) => Int32Array.from(own.slice(0, length)))
}

async function measure(
  name: string,
  source: Awaited<ReturnType<typeof openModel>>,
  rows: readonly Int32Array[],
  { name: engine, detail }: Engine,
  { maxNewTokens = NEW_TOKENS, threads, signal, onPass = () => {}, now = () => performance.now() }: BenchOptions,
): Promise<BenchResult> {
  onPass('load')
  const begun = now()
  const matrices = await openMatrices({ threads })
  let resident: ResidentModel | undefined
  try {
    resident = await ResidentModel.read(source, matrices, () => signal?.throwIfAborted())
    const loaded = now()
    const after_load = process.memoryUsage.rss()
    const write = (ids: readonly Int32Array[], count: number) => written(resident as ResidentModel, ids, count, now, signal)
    onPass('warm-up')
    await write(rows.slice(0, 1), Math.min(2, maxNewTokens))
    onPass('sequential')
    const sequential = await watched(async () => {
      const requests: Request[] = []
      for (const row of rows) requests.push(await write([row], maxNewTokens))
      return requests
    })
    onPass('batch')
    const batch = await watched(() => write(rows, maxNewTokens))
    return {
      model: name,
      llmpress: packageVersion(),
      date: new Date().toISOString(),
      runs_on: `${engine}, ${detail}`,
      threads: threads ?? null,
      prompts: rows.length,
      prompt_tokens: rows[0].length,
      max_new_tokens: maxNewTokens,
      load_seconds: (loaded - begun) / 1000,
      memory: { weights: matrices.bytes, after_load, sequential: sequential.most, batch: batch.most },
      sequential: sequentialOf(sequential.found),
      batch: batchOf(
        rows.map(() => ({ ...batch.found, tokens: maxNewTokens })),
        batch.found.seconds,
      ),
      errors: [],
    }
  } finally {
    resident?.dispose()
    await matrices.close()
  }
}

/** Rows together, the most likely token each time. */
async function written(
  resident: ResidentModel,
  rows: readonly Int32Array[],
  count: number,
  now: () => number,
  signal: AbortSignal | undefined,
): Promise<Request> {
  const begun = now()
  const sequence = resident.begin(rows.length, rows[0].length + count)
  let logits = await sequence.read(Int32Array.from(rows.flatMap((row) => [...row])), signal)
  let first = 0
  for (let index = 0; index < count; index++) {
    const ids = mostLikely(logits, rows.length)
    if (index === 0) first = now()
    if (index === count - 1) break
    signal?.throwIfAborted()
    logits = await sequence.read(ids)
  }
  return { first: (first - begun) / 1000, seconds: (now() - begun) / 1000, tokens: rows.length * count }
}

function mostLikely(logits: Float32Array, rows: number): Int32Array {
  const vocab = logits.length / rows
  return Int32Array.from({ length: rows }, (_, row) => {
    let best = 0
    for (let id = 1; id < vocab; id++) if (logits[row * vocab + id] > logits[row * vocab + best]) best = id
    return best
  })
}

/** How often memory is looked at, in milliseconds. */
const LOOK = 20

/** Work, with the highest resident set that was seen while it went on. */
async function watched<T>(work: () => Promise<T>): Promise<{ found: T; most: number }> {
  let most = process.memoryUsage.rss()
  const look = () => {
    most = Math.max(most, process.memoryUsage.rss())
  }
  const timer = setInterval(look, LOOK)
  try {
    const found = await work()
    look()
    return { found, most }
  } finally {
    clearInterval(timer)
  }
}
