import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { loadRows } from '../data/load-rows.ts'
import type { Dataset } from '../data/rows.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { EngineName } from '../engine/engine.ts'
import { openEngine } from '../engine/open.ts'
import type { Batch } from '../models/batches.ts'
import { openModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'
import { forward } from './forward.ts'

export interface PerplexityOptions {
  /** Text to score: a file, a built-in name, texts, or token rows. */
  dataset: Dataset
  /** Tokens per window; 512 by default, or the model's positions where it has fewer. Windows do not overlap. */
  window?: number
  /** At most so many windows, from the start of the text; all by default. */
  windows?: number
  engine?: EngineName | 'auto'
  threads?: number
  signal?: AbortSignal
  /** Called after each layer. */
  onLayer?(layer: number, of: number): void
}

export interface Perplexity {
  /** exp of the mean negative log likelihood of every token but the first of its window. */
  perplexity: number
  /** Tokens that were predicted. */
  tokens: number
  windows: number
  window: number
  seconds: number
}

/**
 * Perplexity of a checkpoint, original or compressed, on a text: joined, tokenised, cut into windows, the incomplete last one dropped.
 * Activations are quantized where the checkpoint's scheme says so. Errors: UserError and its kinds.
 */
export async function perplexity(checkpoint: string, options: PerplexityOptions): Promise<Perplexity> {
  const started = performance.now()
  const source = await openModel(checkpoint)
  try {
    const { model } = source
    const window = options.window ?? Math.min(512, model.maxPositions)
    if (window < 2 || window > model.maxPositions) {
      throw new UserError(`Cannot score windows of ${window} tokens: the model has ${model.maxPositions} positions, expected 2 to that.`)
    }
    const { rows } = await loadRows({
      dataset: options.dataset,
      tokenizer: () => loadTokenizer(checkpoint),
      samples: options.windows ?? Number.MAX_SAFE_INTEGER,
      length: window,
      seed: 0,
      vocab: model.vocab,
      split: 'evaluation',
    })
    await openEngine({ engine: options.engine ?? 'auto', ...(options.threads && { threads: options.threads }) })
    let sum = 0
    let tokens = 0
    await forward(source, rows, {
      ...(options.signal && { signal: options.signal }),
      onHidden: (layer) => options.onLayer?.(layer, model.layers),
      onLogits: (logits, batch, start) => {
        const scored = negativeLogLikelihood(logits, batch, start)
        sum += scored.sum
        tokens += scored.tokens
      },
    })
    const seconds = (performance.now() - started) / 1000
    return { perplexity: Math.exp(sum / tokens), tokens, windows: rows.length, window, seconds }
  } finally {
    await source.close()
  }
}

/** Sum of -log p(next token) over those tokens of [start, start + logits' rows) that have a next one in their row. */
function negativeLogLikelihood(logits: Tensor2D, { ids, shape }: Batch, start: number): { sum: number; tokens: number } {
  const picks: [number, number][] = []
  for (let i = 0; i < logits.shape[0]; i++) {
    const at = start + i
    if ((at + 1) % shape.length !== 0) picks.push([i, ids[at + 1]])
  }
  if (picks.length === 0) return { sum: 0, tokens: 0 }
  const { norms, scores } = tf.tidy(() => ({
    norms: tf.logSumExp(logits, 1).dataSync(),
    scores: tf.gatherND(logits, tf.tensor2d(picks, undefined, 'int32')).dataSync(),
  }))
  // Summed in double: a few hundred thousand terms of about 3 would lose digits in float32.
  return { sum: picks.reduce((total, [i], k) => total + norms[i] - scores[k], 0), tokens: picks.length }
}
