import { setImmediate } from 'node:timers/promises'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { LayerWalk, LinearSpec, Parameters, StageRequest } from '../models/architecture.ts'
import { type Batch, cutBatches } from '../models/batches.ts'
import { type OpenModel, readWeight } from '../models/open-model.ts'
import { Walker } from '../models/walker.ts'
import {
  applyLinear,
  disposeLinear,
  disposeParameters,
  embeddingRows,
  type LinearTensors,
  linearTensors,
  loadBias,
  loadParameters,
} from '../models/weights.ts'
import { fakeQuantize } from './fake-quantize.ts'

export interface ForwardOptions {
  signal?: AbortSignal
  /** The hidden states that enter a layer (and, at index `layers`, that leave the last): one tensor per batch, valid during the call. */
  onHidden?(layer: number, hidden: readonly Tensor2D[], batches: readonly Batch[]): void
  /** The logits [tokens, vocab] of consecutive tokens of one batch, from token `start` of the batch on; valid during the call. */
  onLogits?(logits: Tensor2D, batch: Batch, start: number): void
}

/** A linear as a server runs it: its weight and how its inputs are quantized. */
interface ServedLinear extends LinearTensors {
  readonly inputs: QuantizationArgs | null
}

// Logits of this many elements at a time: 64 MB of float32.
const LOGITS = 16_000_000

/**
 * Runs token rows through a checkpoint, original or compressed, one layer in memory at a time. Inputs of linears are quantized where the
 * checkpoint's scheme says so.
 */
export async function forward(
  source: OpenModel,
  rows: readonly Int32Array[],
  { signal, onHidden, onLogits }: ForwardOptions,
): Promise<void> {
  const { model } = source
  const batches = cutBatches(rows)
  const shared = new Map<number, Tensor[]>()
  let hidden: Tensor2D[] = []
  try {
    for (const { shape } of batches) if (!shared.has(shape.length)) shared.set(shape.length, model.shared(shape.length))
    for (const { ids } of batches) {
      const embedded = await embeddingRows(source, ids)
      hidden.push(model.embed(embedded))
      embedded.dispose()
    }
    for (let layer = 0; layer < model.layers; layer++) {
      onHidden?.(layer, hidden, batches)
      hidden = await throughLayer(source, layer, hidden, batches, shared, signal)
    }
    onHidden?.(model.layers, hidden, batches)
    if (onLogits) await throughHead(source, hidden, batches, onLogits, signal)
  } finally {
    tf.dispose(hidden)
    for (const tables of shared.values()) tf.dispose(tables)
  }
}

async function throughLayer(
  source: OpenModel,
  layer: number,
  hidden: Tensor2D[],
  batches: readonly Batch[],
  shared: ReadonlyMap<number, Tensor[]>,
  signal?: AbortSignal,
): Promise<Tensor2D[]> {
  const { model } = source
  const parameters = await loadParameters(source, model.parameters(layer))
  const linears = await serve(source, model.linears(layer))
  const prefix = `${model.layerName(layer)}.`
  const outputs: Tensor2D[] = []
  try {
    for (const [i, { shape }] of batches.entries()) {
      outputs.push(finishWalk(model.walk(layer, hidden[i], parameters, shared.get(shape.length) ?? [], shape), hidden[i], linears, prefix))
      await setImmediate()
      signal?.throwIfAborted()
    }
    return outputs
  } catch (error) {
    tf.dispose(outputs)
    throw error
  } finally {
    release(linears, parameters)
  }
}

async function throughHead(
  source: OpenModel,
  hidden: readonly Tensor2D[],
  batches: readonly Batch[],
  onLogits: NonNullable<ForwardOptions['onLogits']>,
  signal?: AbortSignal,
): Promise<void> {
  const { model } = source
  const parameters = await loadParameters(
    source,
    model.outerParameters().filter(({ name }) => !name.startsWith(`${model.embedding}.`)),
  )
  const linears = await serve(source, [model.head()])
  const step = Math.max(1, Math.floor(LOGITS / model.vocab))
  try {
    for (const [i, batch] of batches.entries()) {
      const tokens = batch.ids.length
      for (let start = 0; start < tokens; start += step) {
        const part = tf.slice(hidden[i], [start, 0], [Math.min(step, tokens - start), model.hidden])
        const logits = finishWalk(model.walkHead(part, parameters), part, linears, '')
        onLogits(logits, batch, start)
        logits.dispose()
        await setImmediate()
        signal?.throwIfAborted()
      }
    }
  } finally {
    release(linears, parameters)
  }
}

async function serve(source: OpenModel, specs: readonly LinearSpec[]): Promise<Map<string, ServedLinear>> {
  const linears = new Map<string, ServedLinear>()
  for (const spec of specs) {
    const inputs = source.compressed.get(spec.name)?.scheme.input_activations ?? null
    linears.set(spec.name, { ...linearTensors(await readWeight(source, spec), await loadBias(source, spec), spec), inputs })
  }
  return linears
}

function release(linears: ReadonlyMap<string, ServedLinear>, parameters: Parameters): void {
  for (const linear of linears.values()) disposeLinear(linear)
  disposeParameters(parameters)
}

/** Takes one batch to the end of a walk; `input` is disposed of. */
function finishWalk(walk: LayerWalk, input: Tensor2D, linears: ReadonlyMap<string, ServedLinear>, prefix: string): Tensor2D {
  const walker = new Walker(walk, input)
  while (!walker.result) walker.answer(answerRequest(walker.request, linears, prefix))
  return walker.result
}

function answerRequest({ stage, input }: StageRequest, linears: ReadonlyMap<string, ServedLinear>, prefix: string): Tensor2D[] {
  const served = stage.linears.flatMap((name) => linears.get(prefix + name) ?? [])
  // Linears of a stage share their scheme, and so the quantized input.
  const quantized = served[0].inputs ? fakeQuantize(input, served[0].inputs) : null
  const outputs = served.map((linear) => applyLinear(quantized ?? input, linear))
  quantized?.dispose()
  return outputs
}
