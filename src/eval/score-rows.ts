import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../engine/breathe.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Contestant } from './contestant.ts'
import { LOGITS } from './forward.ts'
import type { Head } from './forward-pass.ts'
import { type BatchTargets, batchTargets, cutBlocks, cutRowBatches, type ScoredRow } from './scored-row.ts'

export interface ScoreOptions {
  signal?: AbortSignal
  /** Called as each layer begins and when all is done; `of` is the layers, times the blocks that many rows are scored in. */
  onLayer?(layer: number, of: number): void
  /** Rows of one length that go through a layer together, at most; as many as are fast by default. */
  batch?: number
  /** Tokens that go through the layers together; as many as memory has room for by default. */
  blockTokens?: number
}

// Hidden states of a block stay on the engine, beside the weights of a layer: at most 512 MB of the 4 GB that wasm has.
const BLOCK_TOKENS = 1 << 16
const BLOCK_ELEMENTS = 1 << 27

/**
 * Scores rows with checkpoints that go side by side, layer by layer, one layer of one checkpoint in memory at a time; `original`, which is
 * one of them or null, is what the others are compared with. Many rows are scored in blocks of whole batches: results are the same to the
 * last bit for blocks of any size. What came of it stands in each contestant, an error of its own too. Errors: the signal's reason, RunError.
 */
export async function scoreRows(
  contestants: readonly Contestant[],
  original: Contestant | null,
  rows: readonly ScoredRow[],
  { signal, onLayer, batch, blockTokens }: ScoreOptions = {},
): Promise<void> {
  const width = contestants.reduce((sum, { source }) => sum + source.model.hidden, 0)
  const layers = Math.max(...contestants.map(({ source }) => source.model.layers))
  const blocks = cutBlocks(rows, blockTokens ?? Math.min(BLOCK_TOKENS, Math.ceil(BLOCK_ELEMENTS / width)), batch)
  for (const [i, block] of blocks.entries()) {
    const report = (layer: number) => onLayer?.(i * layers + layer, blocks.length * layers)
    try {
      await scoreBlock(contestants, original, block, layers, report, batch, signal)
    } finally {
      for (const contestant of contestants) contestant.end()
    }
  }
}

async function scoreBlock(
  contestants: readonly Contestant[],
  original: Contestant | null,
  block: readonly ScoredRow[],
  layers: number,
  report: (layer: number) => void,
  batch: number | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const batches = cutRowBatches(block, batch)
  for (const contestant of contestants) await contestant.begin(batches)
  await compareHidden(contestants, original, 0)
  for (let layer = 0; layer < layers; layer++) {
    report(layer)
    for (const contestant of contestants) await contestant.advance(layer, batches, signal)
    await compareHidden(contestants, original, layer + 1)
  }
  report(layers)
  const targets = batchTargets(block, batch)
  // Two heads at most at a time: those of large vocabularies are the largest matrices of a model.
  const others = contestants.filter((one) => one !== original && comparable(one, original))
  const alone = contestants.filter((one) => !others.includes(one) && (one !== original || others.length === 0))
  for (const one of alone) await throughHeads(one, null, targets, true, signal)
  for (const [k, one] of others.entries()) await throughHeads(one, original, targets, k === 0, signal)
}

/** Whether logits can be compared: both have got this far, with vocabularies of one size. */
function comparable(one: Contestant, original: Contestant | null): boolean {
  return original !== null && !one.error && !original.error && one.source.model.vocab === original.source.model.vocab
}

/** Adds up how far the hidden states of all are from the original's, where they are of one shape. */
async function compareHidden(contestants: readonly Contestant[], original: Contestant | null, index: number): Promise<void> {
  if (!original || original.error) return
  const { layers, hidden: width } = original.source.model
  for (const one of contestants) {
    if (one === original || one.error || one.source.model.layers !== layers || one.source.model.hidden !== width) continue
    const sums = one.divergence.hidden[index] ?? { difference: 0, original: 0 }
    one.divergence.hidden[index] = sums
    for (const [i, x] of one.hidden.entries()) {
      const y = original.hidden[i]
      // By token on the engine, over tokens in double.
      const [difference, own] = await readAll(() => [tf.sum(tf.squaredDifference(x, y), 1), tf.sum(tf.square(y), 1)])
      sums.difference += total(difference)
      sums.original += total(own)
    }
  }
}

/** Scores targets with one, beside the original where it is given: then its divergence too, and the original's scores where asked for. */
async function throughHeads(
  one: Contestant,
  original: Contestant | null,
  targets: readonly BatchTargets[],
  withOriginal: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const [head, other] = [await one.openHead(), (await original?.openHead()) ?? null]
  try {
    const step = Math.max(1, Math.floor(LOGITS / one.source.model.vocab))
    for (const [i, batch] of targets.entries()) {
      for (let start = 0; start < batch.targets.length; start += step) {
        const part = { positions: batch.positions.slice(start, start + step), targets: batch.targets.slice(start, start + step) }
        const [logits, reference] = [await logitsOf(one, head, i, part), original && (await logitsOf(original, other, i, part))]
        try {
          if (logits) await takeScores(one, logits, part.targets)
          if (original && reference && withOriginal) await takeScores(original, reference, part.targets)
          if (logits && reference) await takeDivergence(one, logits, reference)
        } finally {
          tf.dispose([logits, reference].filter((tensor) => tensor !== null))
        }
        await breathe()
        signal?.throwIfAborted()
      }
    }
  } finally {
    head?.dispose()
    other?.dispose()
  }
}

async function logitsOf(one: Contestant, head: Head | null, batch: number, { positions }: BatchTargets): Promise<Tensor2D | null> {
  if (!head) return null
  const found = await one.attempt(() => head.logits(tf.tidy(() => tf.gather(one.hidden[batch], tf.tensor1d(positions, 'int32')))))
  return found ?? null
}

/** Log probabilities of the targets. */
async function takeScores(one: Contestant, logits: Tensor2D, targets: Int32Array): Promise<void> {
  await one.attempt(async () => {
    const picks = Array.from(targets, (target, i): [number, number] => [i, target])
    const [norms, values] = await readAll(() => [
      tf.logSumExp(logits, 1),
      tf.gatherND(logits, tf.tensor2d(picks, [picks.length, 2], 'int32')),
    ])
    for (let i = 0; i < targets.length; i++) {
      const score = values[i] - norms[i]
      if (!Number.isFinite(score)) {
        throw new CheckpointError(
          `Cannot score ${one.source.path}: a token's log probability is ${score}, expected a number. Do its scales or norms overflow?`,
        )
      }
      one.scores.push(score)
    }
  })
}

/** KL(original ‖ one) by token, and whether both have the same most likely token. */
async function takeDivergence(one: Contestant, logits: Tensor2D, reference: Tensor2D): Promise<void> {
  const [kl, agreed] = await readAll(() => {
    const [p, q] = [reference, logits].map((x) => tf.sub(x, tf.logSumExp(x, 1, true)))
    return [tf.sum(tf.mul(tf.exp(p), tf.sub(p, q)), 1), tf.cast(tf.equal(tf.argMax(reference, 1), tf.argMax(logits, 1)), 'float32')]
  })
  one.divergence.kl += total(kl)
  one.divergence.agreed += total(agreed)
  one.divergence.tokens += kl.length
}

async function readAll(compute: () => tf.Tensor[]): Promise<Float32Array[]> {
  const tensors = tf.tidy(compute)
  try {
    return await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()))
  } finally {
    tf.dispose(tensors)
  }
}

function total(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value
  return sum
}
