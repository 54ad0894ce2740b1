import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../engine/breathe.ts'
import type { LayerHooks, LayerWalk, LinearSpec, StageRequest } from '../models/architecture.ts'
import { type Batch, cutBatches, longestRow } from '../models/batches.ts'
import { uncomputable } from '../models/computable.ts'
import { type OpenModel, readWeight } from '../models/open-model.ts'
import { Walker } from '../models/walker.ts'
import {
  applyLinear,
  disposeLinear,
  disposeParameters,
  embedBatches,
  type LinearTensors,
  linearTensors,
  loadBias,
  loadParameters,
} from '../models/weights.ts'
import { CheckpointError } from '../util/errors.ts'
import { fakeQuantize, fakeQuantizeCache } from './fake-quantize.ts'
import { type ServedCache, servedCache } from './served-cache.ts'
import { type ServedInputs, servedInputs } from './served-inputs.ts'

export interface ForwardOptions {
  signal?: AbortSignal
  /** The hidden states that enter a layer (and, at index `layers`, that leave the last): one tensor per batch, valid during the call. */
  onHidden?(layer: number, hidden: readonly Tensor2D[], batches: readonly Batch[]): void
  /** The logits [tokens, vocab] of consecutive tokens of one batch, from token `start` of the batch on; valid until it is done. */
  onLogits?(logits: Tensor2D, batch: Batch, start: number): void | Promise<void>
}

/** A linear as a server runs it: its weight and how its inputs are quantized. */
interface ServedLinear extends LinearTensors {
  readonly inputs: ServedInputs | null
}

/** The linears of a layer by name, which stay where they are put. */
type ServedLinears = Map<string, ServedLinear>

// Logits of this many elements at a time: 64 MB of float32.
const LOGITS = 16_000_000

/**
 * Runs token rows through a checkpoint, original or compressed, one layer in memory at a time. Inputs of linears are quantized where the
 * checkpoint's scheme says so. Errors: CheckpointError before any compute for quantization at run time that is not computed here.
 */
export async function forward(
  source: OpenModel,
  rows: readonly Int32Array[],
  { signal, onHidden, onLogits }: ForwardOptions,
): Promise<void> {
  const { model } = source
  const reason = uncomputable(source)
  if (reason !== null) throw new CheckpointError(`Cannot evaluate ${source.path}: ${reason}.`, { file: 'config.json' })
  const inputs = await servedInputs(source)
  const caches = await servedCache(source)
  const batches = cutBatches(rows)
  const shared: Tensor[] = []
  let hidden: Tensor2D[] = []
  try {
    shared.push(...model.shared(longestRow(batches)))
    hidden = await embedBatches(source, batches)
    for (let layer = 0; layer < model.layers; layer++) {
      onHidden?.(layer, hidden, batches)
      hidden = await throughLayer(source, inputs, cacheHooks(caches.get(layer)), layer, hidden, batches, shared, signal)
    }
    onHidden?.(model.layers, hidden, batches)
    if (onLogits) await throughHead(source, inputs, hidden, batches, onLogits, signal)
  } finally {
    tf.dispose(hidden)
    tf.dispose(shared)
  }
}

async function throughLayer(
  source: OpenModel,
  inputs: ReadonlyMap<string, ServedInputs>,
  hooks: LayerHooks,
  layer: number,
  hidden: Tensor2D[],
  batches: readonly Batch[],
  shared: readonly Tensor[],
  signal?: AbortSignal,
): Promise<Tensor2D[]> {
  const { model } = source
  const parameters = await loadParameters(source, model.parameters(layer))
  const linears: ServedLinears = new Map()
  const prefix = `${model.layerName(layer)}.`
  const outputs: Tensor2D[] = []
  try {
    await serve(source, inputs, model.linears(layer), linears)
    for (const [i, { shape }] of batches.entries()) {
      outputs.push(await finishWalk(model.walk(layer, hidden[i], parameters, shared, shape, hooks), hidden[i], linears, prefix))
      await breathe()
      signal?.throwIfAborted()
    }
    return outputs
  } catch (error) {
    tf.dispose(outputs)
    throw error
  } finally {
    linears.forEach(disposeLinear)
    disposeParameters(parameters)
  }
}

/** Keys and values as a quantized cache gives them back; experts compute what is routed to them. */
function cacheHooks(served: ServedCache | undefined): LayerHooks {
  if (!served) return { routedOnly: true }
  const { args, k, v } = served
  return { routedOnly: true, throughCache: (x, rows, of) => fakeQuantizeCache(x, rows, args, of === 'keys' ? k : v) }
}

async function throughHead(
  source: OpenModel,
  inputs: ReadonlyMap<string, ServedInputs>,
  hidden: readonly Tensor2D[],
  batches: readonly Batch[],
  onLogits: NonNullable<ForwardOptions['onLogits']>,
  signal?: AbortSignal,
): Promise<void> {
  const { model } = source
  const parameters = await loadParameters(source, model.headParameters())
  const linears: ServedLinears = new Map()
  const step = Math.max(1, Math.floor(LOGITS / model.vocab))
  try {
    await serve(source, inputs, [model.head()], linears)
    for (const [i, batch] of batches.entries()) {
      const tokens = batch.ids.length
      for (let start = 0; start < tokens; start += step) {
        const part = tf.slice(hidden[i], [start, 0], [Math.min(step, tokens - start), model.hidden])
        const logits = await finishWalk(model.walkHead(part, parameters), part, linears, '')
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
    linears.forEach(disposeLinear)
    disposeParameters(parameters)
  }
}

/** Puts linears on the engine and into `linears`, whose owner disposes of them, also of some when there is an error at another. */
async function serve(
  source: OpenModel,
  inputs: ReadonlyMap<string, ServedInputs>,
  specs: readonly LinearSpec[],
  linears: ServedLinears,
): Promise<void> {
  for (const spec of specs) {
    const tensors = linearTensors(await readWeight(source, spec), await loadBias(source, spec), spec)
    linears.set(spec.name, { ...tensors, inputs: inputs.get(spec.name) ?? null })
  }
}

/** Takes one batch to the end of a walk; `input` is disposed of. */
async function finishWalk(walk: LayerWalk, input: Tensor2D, linears: ReadonlyMap<string, ServedLinear>, prefix: string): Promise<Tensor2D> {
  const walker = await Walker.start(walk, input)
  try {
    while (!walker.result) await walker.answer(await answerRequest(walker.request, linears, prefix))
    return walker.result
  } catch (error) {
    walker.dispose()
    throw error
  }
}

async function answerRequest(
  { stage, input }: StageRequest,
  linears: ReadonlyMap<string, ServedLinear>,
  prefix: string,
): Promise<Tensor2D[]> {
  const served = stage.linears.flatMap((name) => linears.get(prefix + name) ?? [])
  const values = served.some(({ inputs }) => inputs) ? await input.data<'float32'>() : new Float32Array(0)
  // The linears of a stage mostly have one scheme: then they share the quantized input. Stored scales are each linear's own.
  const quantized = new Map<string, Tensor2D>()
  return tf.tidy(() =>
    served.map((linear) => {
      if (!linear.inputs) return applyLinear(input, linear)
      const { args, scale } = linear.inputs
      const key = JSON.stringify([args, scale])
      const own = quantized.get(key) ?? tf.tensor2d(fakeQuantize(values, ...input.shape, args, scale), input.shape)
      quantized.set(key, own)
      return applyLinear(own, linear)
    }),
  )
}
