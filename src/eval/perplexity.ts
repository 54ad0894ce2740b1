import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { loadRows } from '../data/load-rows.ts'
import type { Dataset } from '../data/rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { EngineName } from '../engine/engine.ts'
import { withEngine } from '../engine/with-engine.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { type Batch, cutBatches } from '../models/batches.ts'
import { isWide, type OpenModel, openModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'
import { forward } from './forward.ts'
import { checkPerplexity } from './options.ts'

export interface PerplexityOptions extends HubOptions {
  /** Text to score: a file, a built-in name, texts, or token rows. */
  dataset: Dataset
  /** Tokens per window; 512 by default, or the model's positions where it has fewer. Windows do not overlap. */
  window?: number
  /** At most so many windows, from the start of the text; all by default. */
  windows?: number
  engine?: EngineName | 'auto'
  threads?: number
  /** Called as each layer begins and when all is done; `of` is the model's layers, times the blocks that a long text is scored in. */
  onLayer?(layer: number, of: number): void
}

export interface Perplexity {
  /** exp of the mean negative log likelihood of every token but the first of its window. */
  perplexity: number
  /** Tokens that were predicted. */
  tokens: number
  windows: number
  /** Tokens of the longest window. */
  window: number
  seconds: number
  /** What is out of the ordinary: a text that is too short for one window, rows that were cut. */
  warnings: string[]
}

/** Stands for all windows there are. */
const ALL = Number.MAX_SAFE_INTEGER

// A block's hidden states stay on the engine, beside the weights of a layer: at most 512 MB of the 4 GB that wasm has.
const BLOCK_TOKENS = 1 << 16
const BLOCK_ELEMENTS = 1 << 27

/**
 * Perplexity of a checkpoint, original or compressed, on a text: joined, tokenised, cut into windows, the incomplete last one dropped.
 * Activations are quantized where the checkpoint's scheme says so. Memory does not grow with the text but for its tokens. Calls take
 * turns where a process starts several, since they share one engine. Errors: UserError and its kinds.
 */
export async function perplexity(checkpoint: string, options: PerplexityOptions): Promise<Perplexity> {
  checkPerplexity(checkpoint, options)
  const started = performance.now()
  const folder = await modelFolder(checkpoint, options)
  const source = await openModel(folder.path)
  try {
    const { model } = source
    const window = options.window ?? Math.min(512, model.maxPositions)
    if (window < 2 || window > model.maxPositions) {
      throw new UserError(`Cannot score windows of ${window} tokens: the model has ${model.maxPositions} positions, expected 2 to that.`)
    }
    const samples = options.windows ?? ALL
    const { rows, warnings } = await loadRows({
      dataset: options.dataset,
      tokenizer: () => loadTokenizer(folder.path),
      samples,
      length: window,
      seed: 0,
      vocab: model.vocab,
      context: model.maxPositions,
      purpose: 'evaluation',
      hub: options,
    })
    const { engine = 'auto', threads, signal } = options
    const { sum, tokens } = await withEngine(
      { engine, givesBack: isWide(source), ...(threads && { threads }), ...(signal && { signal }) },
      () => scoreRows(source, rows, options, Math.min(BLOCK_TOKENS, Math.ceil(BLOCK_ELEMENTS / model.hidden))),
    )
    const seconds = (performance.now() - started) / 1000
    return {
      perplexity: Math.exp(sum / tokens),
      tokens,
      windows: rows.length,
      window: rows.reduce((longest, { length }) => Math.max(longest, length), 0),
      seconds,
      // That there are fewer windows than ALL says nothing.
      warnings: [...folder.warnings, ...warnings].filter((warning) => !warning.includes(String(ALL))),
    }
  } finally {
    await source.close()
  }
}

/** A sum of -log p(token) and the number of its terms. */
interface Score {
  sum: number
  tokens: number
}

/**
 * Scores rows in blocks of about `blockTokens` tokens, each block layer by layer. Blocks consist of whole batches, so the sum is the same
 * to the last bit for blocks of any size.
 */
export async function scoreRows(
  source: OpenModel,
  rows: readonly Int32Array[],
  { signal, onLayer }: Pick<PerplexityOptions, 'signal' | 'onLayer'>,
  blockTokens: number,
): Promise<Score> {
  const { layers } = source.model
  const blocks = cutBlocks(rows, blockTokens)
  const total: Score = { sum: 0, tokens: 0 }
  for (const [i, block] of blocks.entries()) {
    await forward(source, block, {
      ...(signal && { signal }),
      onHidden: (layer) => onLayer?.(i * layers + layer, blocks.length * layers),
      onLogits: async (logits, batch, start) => {
        const { sum, tokens } = await negativeLogLikelihood(logits, batch, start)
        total.sum += sum
        total.tokens += tokens
      },
    })
  }
  return total
}

/** Consecutive rows, cut where batches end: a batch more would exceed `tokens`. */
function cutBlocks(rows: readonly Int32Array[], tokens: number): Int32Array[][] {
  const blocks: Int32Array[][] = []
  let size = Number.POSITIVE_INFINITY
  let next = 0
  for (const { shape, ids } of cutBatches(rows)) {
    if (size + ids.length > tokens) {
      blocks.push([])
      size = 0
    }
    blocks[blocks.length - 1].push(...rows.slice(next, next + shape.rows))
    next += shape.rows
    size += ids.length
  }
  return blocks
}

/** Sum of -log p(next token) over those tokens of [start, start + logits' rows) that have a next one in their row. */
async function negativeLogLikelihood(logits: Tensor2D, { ids, shape }: Batch, start: number): Promise<Score> {
  const picks: [number, number][] = []
  for (let i = 0; i < logits.shape[0]; i++) {
    const at = start + i
    if ((at + 1) % shape.length !== 0) picks.push([i, ids[at + 1]])
  }
  if (picks.length === 0) return { sum: 0, tokens: 0 }
  const read = tf.tidy(() => [tf.logSumExp(logits, 1), tf.gatherND(logits, tf.tensor2d(picks, undefined, 'int32'))])
  const [norms, scores] = await Promise.all(read.map((tensor) => tensor.data()))
  tf.dispose(read)
  // Summed in double: a few hundred thousand terms of about 3 would lose digits in float32.
  return { sum: picks.reduce((total, [i], k) => total + norms[i] - scores[k], 0), tokens: picks.length }
}
