import { setImmediate } from 'node:timers/promises'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { TensorData } from '../checkpoint/tensor.ts'
import type { Engine } from '../engine/engine.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { LayerWalk, StageSpec } from '../models/architecture.ts'
import { type Batch, cutBatches, longestRow } from '../models/batches.ts'
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
import type { LinearReport, Stage } from '../modifiers/modifier.ts'
import { RunError } from '../util/errors.ts'
import { compressStage, effectiveWeight, encodeLinear, type LinearInHand, readLinears } from './compress-stage.ts'
import type { OnProgress } from './events.ts'
import type { Plan, PlannedLinear } from './plan.ts'

/** What a walk has at hand beside the plan. */
export interface WalkContext {
  readonly engine: Engine
  readonly kernels: Kernels
  readonly signal: AbortSignal
  readonly onProgress: OnProgress
}

/** The compressed linears of one layer (or of the head), ready to be written. */
export interface CompressedLayer {
  readonly name: string
  readonly tensors: readonly TensorData[]
  readonly reports: readonly LinearReport[]
}

/**
 * Compresses layer by layer without inputs: the weights of one stage at a time are all that is in memory.
 */
export async function* streamLayers(plan: Plan, context: WalkContext): AsyncGenerator<CompressedLayer> {
  const { model } = plan.source
  for (const [index, name] of layerNames(plan).entries()) {
    const done: CompressedLayer = { name, tensors: [], reports: [] }
    for (const spec of index < model.layers ? model.stages : [model.headStage]) {
      context.signal.throwIfAborted()
      const planned = plannedOf(plan, index, spec)
      if (!planned.some(({ scheme }) => scheme)) continue
      const noInputs = () =>
        Promise.reject(new RangeError(`Cannot show inputs at ${spec.name}: this run has no data, expected needs() to say 'inputs'`))
      const finished = await finishStage(plan, context, index, spec, planned, noInputs)
      finished.release()
      append(done, finished)
      await setImmediate()
    }
    yield done
  }
}

/**
 * Compresses layer by layer with calibration inputs. All batches advance to a stage together; its linears are compressed with the inputs
 * in view, and the batches go on with the outputs of the compressed linears: one forward pass, and later stages see earlier errors.
 */
export async function* walkLayers(plan: Plan, rows: readonly Int32Array[], context: WalkContext): AsyncGenerator<CompressedLayer> {
  const { source } = plan
  const { model } = source
  const batches = cutBatches(rows)
  const shared: Tensor[] = []
  let hidden: Tensor2D[] = []
  try {
    shared.push(...model.shared(longestRow(batches)))
    for (const batch of batches) hidden.push(await embed(plan, batch))
    for (let layer = 0; layer < model.layers; layer++) {
      const parameters = await loadParameters(source, model.parameters(layer))
      const done: CompressedLayer = { name: model.layerName(layer), tensors: [], reports: [] }
      // From here on the walkers own the inputs.
      const inputs = hidden
      hidden = []
      const walks = batches.map(
        ({ shape }, i) =>
          () =>
            model.walk(layer, inputs[i], parameters, shared, shape),
      )
      try {
        hidden = await throughStages(plan, context, layer, model.stages, inputs, walks, done)
      } finally {
        disposeParameters(parameters)
      }
      requireFinite(hidden, model.layerName(layer))
      yield done
    }
    if (plan.linears.some(({ scheme, layer }) => scheme && layer === model.layers)) yield await walkHead(plan, context, hidden)
    else tf.dispose(hidden)
    hidden = []
  } finally {
    tf.dispose(hidden)
    tf.dispose(shared)
  }
}

async function walkHead(plan: Plan, context: WalkContext, hidden: Tensor2D[]): Promise<CompressedLayer> {
  const { model } = plan.source
  const parameters = await loadParameters(
    plan.source,
    model.outerParameters().filter(({ name }) => !name.startsWith(`${model.embedding}.`)),
  )
  const done: CompressedLayer = { name: model.head().name, tensors: [], reports: [] }
  const walkers: Walker[] = []
  try {
    for (const h of hidden) walkers.push(new Walker(model.walkHead(h, parameters), h))
    const { headStage } = model
    const finished = await finishStage(
      plan,
      context,
      model.layers,
      headStage,
      plannedOf(plan, model.layers, headStage),
      showInputs(walkers, context),
    )
    finished.release()
    append(done, finished)
  } finally {
    for (const walker of walkers) walker.dispose()
    disposeParameters(parameters)
  }
  return done
}

/** Takes all batches through the stages of a layer; gives their outputs. */
async function throughStages(
  plan: Plan,
  context: WalkContext,
  layer: number,
  stages: readonly StageSpec[],
  inputs: readonly Tensor2D[],
  walks: readonly (() => LayerWalk)[],
  done: CompressedLayer,
): Promise<Tensor2D[]> {
  const walkers: Walker[] = []
  try {
    for (const [i, walk] of walks.entries()) {
      walkers.push(new Walker(walk(), inputs[i]))
      await setImmediate()
      context.signal.throwIfAborted()
    }
    for (const spec of stages) {
      const finished = await finishStage(plan, context, layer, spec, plannedOf(plan, layer, spec), showInputs(walkers, context))
      try {
        for (const walker of walkers) {
          const { input } = walker.request
          walker.answer(tf.tidy(() => finished.linears.map((linear) => applyLinear(input, linear))))
          await setImmediate()
          context.signal.throwIfAborted()
        }
      } finally {
        finished.release()
      }
      append(done, finished)
    }
    return walkers.flatMap(({ result }) => result ?? [])
  } catch (error) {
    for (const walker of walkers) walker.dispose()
    tf.dispose(inputs.slice(walkers.length))
    throw error
  }
}

/** Compresses one stage and puts its linears on the engine for the outputs. */
async function finishStage(
  plan: Plan,
  context: WalkContext,
  layer: number,
  spec: StageSpec,
  planned: readonly PlannedLinear[],
  eachInput: Stage['eachInput'],
) {
  const name = layerNames(plan)[layer]
  context.onProgress({ type: 'stage', layer: name, stage: spec.name, index: layer, of: plan.source.model.layers })
  const inHand = await readLinears(plan, planned)
  const { engine, kernels, signal } = context
  await compressStage(
    plan,
    { name: `${name} · ${spec.name}`, linears: inHand.map(({ linear }) => linear), engine, kernels, signal, eachInput },
    inHand,
  )
  const reports = inHand.flatMap(({ linear }) => linear.report ?? [])
  for (const report of reports) context.onProgress({ type: 'linear', report })
  const biases = await Promise.all(planned.map(({ spec: linear }) => loadBias(plan.source, linear)))
  const tensors = inHand.filter(({ planned: { scheme } }) => scheme).flatMap(encodeLinear)
  // Last, so that nothing after it can throw and leave tensors on the engine.
  const linears = plan.needsInputs && layer < plan.source.model.layers ? servedLinears(inHand, biases) : []
  return { linears, tensors, reports, release: () => linears.forEach(disposeLinear) }
}

/** The compressed linears on the engine. */
function servedLinears(inHand: readonly LinearInHand[], biases: readonly (Float32Array | null)[]): LinearTensors[] {
  const linears: LinearTensors[] = []
  try {
    for (const [i, entry] of inHand.entries()) linears.push(linearTensors(effectiveWeight(entry), biases[i], entry.planned.spec))
    return linears
  } catch (error) {
    linears.forEach(disposeLinear)
    throw error
  }
}

function showInputs(walkers: readonly Walker[], { signal }: WalkContext): Stage['eachInput'] {
  return async (visit) => {
    for (const walker of walkers) {
      visit(walker.request.input)
      await setImmediate()
      signal.throwIfAborted()
    }
  }
}

async function embed({ source }: Plan, { ids }: Batch): Promise<Tensor2D> {
  const rows = await embeddingRows(source, ids)
  try {
    return tf.tidy(() => source.model.embed(rows))
  } finally {
    rows.dispose()
  }
}

function plannedOf({ linears }: Plan, layer: number, stage: StageSpec): PlannedLinear[] {
  return linears.filter((linear) => linear.layer === layer && linear.stage === stage)
}

function layerNames({ source: { model } }: Plan): string[] {
  return [...Array.from({ length: model.layers }, (_, layer) => model.layerName(layer)), model.head().name]
}

function append(done: CompressedLayer, { tensors, reports }: { tensors: TensorData[]; reports: LinearReport[] }): void {
  ;(done.tensors as TensorData[]).push(...tensors)
  ;(done.reports as LinearReport[]).push(...reports)
}

function requireFinite(hidden: readonly Tensor2D[], layer: string): void {
  for (const tensor of hidden) {
    const sum = tf.tidy(() => tf.sum(tensor).dataSync()[0])
    if (!Number.isFinite(sum)) throw new RunError(`Cannot go on after ${layer}: its outputs are not finite (sum ${sum}), expected numbers.`)
  }
}
