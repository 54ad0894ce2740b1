import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../engine/breathe.ts'
import { type Batch, cutBatches, longestRow } from '../models/batches.ts'
import type { OpenModel } from '../models/open-model.ts'
import { ForwardPass } from './forward-pass.ts'

export interface ForwardOptions {
  signal?: AbortSignal
  /** The hidden states that enter a layer (and, at index `layers`, that leave the last): one tensor per batch, valid during the call. */
  onHidden?(layer: number, hidden: readonly Tensor2D[], batches: readonly Batch[]): void
  /** The logits [tokens, vocab] of consecutive tokens of one batch, from token `start` of the batch on; valid until it is done. */
  onLogits?(logits: Tensor2D, batch: Batch, start: number): void | Promise<void>
}

/** Logits of this many elements at a time: 32 MB of float32, and what they are summed from is there three times. */
export const LOGITS = 8_000_000

/**
 * Runs token rows through a checkpoint, original or compressed, one layer in memory at a time. Inputs of linears are quantized where the
 * checkpoint's scheme says so. Errors: CheckpointError before any compute for quantization at run time that is not computed here.
 */
export async function forward(
  source: OpenModel,
  rows: readonly Int32Array[],
  { signal, onHidden, onLogits }: ForwardOptions,
): Promise<void> {
  const pass = await ForwardPass.open(source)
  const { model } = source
  const batches = cutBatches(rows)
  const shared = model.shared(longestRow(batches))
  let hidden: Tensor2D[] = []
  try {
    hidden = await pass.embed(batches)
    for (let layer = 0; layer < model.layers; layer++) {
      onHidden?.(layer, hidden, batches)
      hidden = await pass.throughLayer(layer, hidden, batches, shared, signal)
    }
    onHidden?.(model.layers, hidden, batches)
    if (onLogits) await throughHead(pass, hidden, batches, onLogits, signal)
  } finally {
    tf.dispose(hidden)
    tf.dispose(shared)
  }
}

async function throughHead(
  pass: ForwardPass,
  hidden: readonly Tensor2D[],
  batches: readonly Batch[],
  onLogits: NonNullable<ForwardOptions['onLogits']>,
  signal?: AbortSignal,
): Promise<void> {
  const { model } = pass.source
  const head = await pass.openHead()
  const step = Math.max(1, Math.floor(LOGITS / model.vocab))
  try {
    for (const [i, batch] of batches.entries()) {
      const tokens = batch.ids.length
      for (let start = 0; start < tokens; start += step) {
        const logits = await head.logits(tf.slice(hidden[i], [start, 0], [Math.min(step, tokens - start), model.hidden]))
        try {
          await onLogits(logits, batch, start)
        } finally {
          logits.dispose()
        }
        await breathe()
        signal?.throwIfAborted()
      }
    }
  } finally {
    head.dispose()
  }
}
