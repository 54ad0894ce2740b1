import { setImmediate } from 'node:timers/promises'
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { TensorData } from '../checkpoint/tensor.ts'
import type { Engine } from '../engine/engine.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { StageSpec } from '../models/architecture.ts'
import { attentionOf } from '../models/attention-of.ts'
import { longestRow } from '../models/batches.ts'
import { disposeLinear, disposeParameters, embedBatches, type LinearTensors, linearTensors, loadParameters } from '../models/weights.ts'
import type { LinearReport, Stage } from '../modifiers/modifier.ts'
import type { ExpertTokens } from '../report/record.ts'
import type { StageStatistics, WeightStatistics } from '../report/statistics.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { RunError } from '../util/errors.ts'
import { span } from '../util/span.ts'
import { SpareMemory } from '../util/spare-memory.ts'
import { CacheRanges, observeInputs } from './activation-ranges.ts'
import { compressStage, effectiveWeight } from './compress-stage.ts'
import type { OnProgress } from './events.ts'
import { InputSums } from './input-statistics.ts'
import {
  type EncodedLinears,
  encodeLayer,
  type LayerInHand,
  type LinearInHand,
  layerInHand,
  readLinears,
  takeEncoded,
} from './layer-in-hand.ts'
import type { Plan } from './plan.ts'
import { rescaleInputs } from './rescale-inputs.ts'
import { disposeHidden, type HiddenStates, type StreamBatch, Streams, streamBatches } from './streams.ts'
import type { TensorStore } from './tensor-store.ts'
import { weightStatistics } from './weight-statistics.ts'

/** What a walk has at hand beside the plan. */
export interface WalkContext {
  readonly engine: Engine
  readonly kernels: Kernels
  readonly signal: AbortSignal
  readonly onProgress: OnProgress
  /** Rounds plainly what a modifier left as it was, or with numbers that are none, and says so; else that ends the run. */
  readonly allowFallback: boolean
  /** Has the calibration rows on their way through the layers, and the hidden states between two. */
  readonly store: TensorStore
  /** Of weights and codes of earlier stages, in runs without data. */
  readonly memory?: SpareMemory
  /** Writes a tensor of a stage before its layer is done; absent, or in runs with data, all come with the layer. */
  readonly save?: (tensor: TensorData) => Promise<void>
}

/** One layer (or the head) as it is to be written. */
export interface CompressedLayer {
  readonly name: string
  /** Compressed linears, and other tensors that differ from the original's, but for those that are saved. */
  readonly tensors: readonly TensorData[]
  /** Names of the tensors that were written while the layer was worked on. */
  readonly saved: readonly string[]
  readonly reports: readonly LinearReport[]
  readonly statistics: readonly StageStatistics[]
  /** Names of tensors that were rescaled, compressed or not. */
  readonly rescaled: readonly string[]
  /** Calibration tokens of its experts, where it has any. */
  readonly experts: readonly ExpertTokens[]
  /** What enters the next layer, until that is asked for; null in runs without data and after the head. */
  readonly hidden: HiddenStates | null
}

/**
 * Compresses layer by layer without inputs, `from` a layer on: the weights of one stage at a time are all that is in memory. What a stage
 * has become is saved while the next is worked on.
 */
export async function* streamLayers(plan: Plan, walk: WalkContext, from = 0): AsyncGenerator<CompressedLayer> {
  const { model } = plan.source
  const memory = new SpareMemory()
  const context = { ...walk, memory }
  const save = async ({ tensors, codes }: EncodedLinears) => {
    for (const tensor of tensors) await context.save?.(tensor)
    for (const array of [...codes, ...tensors.map(({ bytes }) => bytes)]) memory.give(array)
  }
  // That of the stage before.
  let saving = Promise.resolve()
  try {
    for (const [index, name] of layerNames(plan).entries()) {
      if (index < from) continue
      const layer = layerInHand(plan, index, name)
      const saved: string[] = []
      for (const spec of index < model.layers ? model.stages(index) : [model.headStage]) {
        context.signal.throwIfAborted()
        await finishStage(plan, context, layer, spec, null)
        await setImmediate()
        if (!context.save) continue
        await saving
        const encoded = span('step', 'encode', () => takeEncoded(layer, memory))
        saved.push(...encoded.tensors.map(({ name }) => name))
        saving = save(encoded)
        // Heard of when it is waited for.
        saving.catch(() => {})
      }
      const finished = await finishLayer(plan, layer)
      await saving
      memory.trim()
      yield { ...finished, saved }
    }
  } finally {
    // Whoever closes the files comes after this.
    await saving.catch(() => {})
  }
}

/**
 * Compresses layer by layer with calibration inputs. All batches advance to a stage together; its linears are compressed with the inputs
 * in view, and the batches go on with the outputs of the compressed linears: one forward pass, and later stages see earlier errors.
 * Where a modifier asks for the originals, the rows go through the uncompressed model too, stage by stage beside. `from`: the layer to
 * begin with, and what gives the hidden states that enter it.
 */
export async function* walkLayers(
  plan: Plan,
  rows: readonly Int32Array[],
  context: WalkContext,
  from: { readonly layer: number; hidden(batches: readonly StreamBatch[]): Promise<HiddenStates> } | null = null,
): AsyncGenerator<CompressedLayer> {
  const { source } = plan
  const { model } = source
  const batches = streamBatches(rows)
  const shared: Tensor[] = []
  let hidden: HiddenStates = { compressed: [], originals: null }
  try {
    shared.push(...model.shared(longestRow(batches)))
    hidden = from ? await from.hidden(batches) : await embed(plan, batches, context.store)
    for (let index = from?.layer ?? 0; index < model.layers; index++) {
      const name = model.layerName(index)
      const cache = plan.cache && new CacheRanges(plan.cache, attentionOf(model).kvHeads)
      const layer = layerInHand(plan, index, name, await loadParameters(source, model.parameters(index)), cache)
      // From here on the streams own the inputs.
      const inputs = hidden
      hidden = { compressed: [], originals: null }
      let finished: CompressedLayer
      try {
        // Tensors of the layer that rescaling replaces are read by the next stages only, so both streams can share them.
        const walk = ({ shape }: StreamBatch, input: Tensor2D, original: boolean) =>
          model.walk(index, input, layer.parameters, shared, shape, original ? undefined : { ...cache?.hooks, ...layer.experts.hooks })
        const streams = await Streams.open(batches, inputs, walk, context.signal, context.store)
        hidden = await throughStages(plan, context, layer, model.stages(index), streams)
        await requireFinite(hidden.compressed, name, context.store)
        finished = await finishLayer(plan, layer)
      } finally {
        disposeParameters(layer.parameters)
        cache?.dispose()
        layer.experts.dispose()
      }
      yield { ...finished, hidden }
    }
    // The streams of the head own what is left.
    const inputs = hidden
    hidden = { compressed: [], originals: null }
    if (plan.linears.some(({ scheme, layer }) => scheme && layer === model.layers)) yield await walkHead(plan, context, batches, inputs)
    else disposeHidden(inputs)
  } finally {
    disposeHidden(hidden)
    tf.dispose(shared)
  }
}

async function walkHead(plan: Plan, context: WalkContext, batches: readonly StreamBatch[], inputs: HiddenStates): Promise<CompressedLayer> {
  const { source } = plan
  const { model } = source
  const layer = layerInHand(plan, model.layers, model.head().name, await loadParameters(source, model.headParameters()))
  try {
    const walk = (_: StreamBatch, input: Tensor2D) => model.walkHead(input, layer.parameters)
    const streams = await Streams.open(batches, inputs, walk, context.signal, context.store)
    try {
      await finishStage(plan, context, layer, model.headStage, streams)
    } finally {
      streams.dispose()
    }
    return await finishLayer(plan, layer)
  } finally {
    disposeParameters(layer.parameters)
  }
}

/** Takes all batches through the stages of a layer; gives their outputs. */
async function throughStages(
  plan: Plan,
  context: WalkContext,
  layer: LayerInHand,
  stages: readonly StageSpec[],
  streams: Streams,
): Promise<HiddenStates> {
  try {
    for (const spec of stages) await finishStage(plan, context, layer, spec, streams)
    return streams.take()
  } catch (error) {
    streams.dispose()
    throw error
  }
}

/** Weights from which on what a stage leaves behind is collected at once, lest it lies beside what the next one takes: 64 MB of float32. */
const LARGE_STAGE = 2 ** 24

/** Compresses one stage, and lets the batches go on with its outputs. */
async function finishStage(plan: Plan, context: WalkContext, layer: LayerInHand, spec: StageSpec, streams: Streams | null): Promise<void> {
  return span('stage', `${layer.name} · ${spec.name}`, () => throughStage(plan, context, layer, spec, streams))
}

async function throughStage(plan: Plan, context: WalkContext, layer: LayerInHand, spec: StageSpec, streams: Streams | null): Promise<void> {
  const { index, name } = layer
  const { layers } = plan.source.model
  const planned = layer.planned.filter(({ stage }) => stage === spec)
  if (!streams && !planned.some(({ scheme }) => scheme)) return
  context.onProgress({ type: 'stage', layer: name, stage: spec.name, index, of: layers })
  const isLarge = planned.reduce((sum, { spec }) => sum + spec.rows * spec.columns, 0) >= LARGE_STAGE
  if (isLarge && streams) collectGarbage()
  const inHand = await span('io', 'read weights', () => readLinears(plan, planned, context.memory))
  if (streams?.hasOriginals && spec.addsToResidual)
    await withLinears(originals(inHand), (linears) => span('step', 'original outputs', () => streams.lookAhead(linears)))
  const stage = openStage(plan, context, layer, spec, inHand, streams)
  await compressStage(plan, index, stage, inHand, context.allowFallback)
  const ranges = await observeInputs(stage)
  for (const entry of inHand) entry.inputRange = ranges.get(entry.linear.name) ?? null
  for (const { linear } of inHand) if (linear.report) context.onProgress({ type: 'linear', report: linear.report })
  const weights = span('step', 'statistics', () => statisticsOf(inHand))
  const inputs = new InputSums()
  const watch = (input: Tensor2D) => {
    if (weights.length > 0) inputs.add(input)
  }
  // The moments above all.
  if (isLarge && streams) collectGarbage()
  try {
    if (index === layers) await streams?.each(watch)
    else if (streams) await goOn({ inHand, spec, streams, watch })
    if (weights.length > 0) layer.statistics.push({ stage: stage.name, linears: weights, inputs: await inputs.take() })
  } finally {
    inputs.dispose()
  }
  for (const { linear } of inHand) {
    // Codes are kept to the end of the layer, float weights only of linears that stay as they are.
    if (!linear.quantized) continue
    context.memory?.give(linear.weight)
    linear.weight = new Float32Array(0)
  }
  layer.linears.push(...inHand)
}

/** Lets the batches go on with the outputs of a stage's linears as they are now. */
async function goOn({
  inHand,
  spec,
  streams,
  watch,
}: {
  inHand: readonly LinearInHand[]
  spec: StageSpec
  streams: Streams
  watch: (input: Tensor2D) => void
}): Promise<void> {
  const compressed = span('step', 'dequantize', () =>
    inHand.map((entry): ServedLinear => [effectiveWeight(entry), entry.linear.bias, entry]),
  )
  const before = streams.hasOriginals && !spec.addsToResidual ? originals(inHand) : []
  await withLinears(compressed, (linears) =>
    withLinears(before, (originals) => span('step', 'forward', () => streams.answer(linears, originals, watch))),
  )
}

function statisticsOf(inHand: readonly LinearInHand[]): WeightStatistics[] {
  return inHand.flatMap(({ linear: { name, weight, quantized } }) => (quantized ? [weightStatistics(name, weight, quantized)] : []))
}

/** The stage as modifiers see it. */
function openStage(
  plan: Plan,
  { engine, kernels, signal, store, memory }: WalkContext,
  layer: LayerInHand,
  spec: StageSpec,
  inHand: readonly LinearInHand[],
  streams: Streams | null,
): Stage {
  const name = `${layer.name} · ${spec.name}`
  const noInputs = () =>
    Promise.reject(new RangeError(`Cannot show inputs at ${name}: this run has no data, expected needs() to say 'inputs'`))
  return {
    name,
    linears: inHand.map(({ linear }) => linear),
    engine,
    kernels,
    signal,
    hasInputs: streams !== null,
    addsToResidual: spec.addsToResidual,
    ...(spec.sharedInput && { measured: layer.measured }),
    ...(store.shelf && { shelf: store.shelf }),
    ...(memory && { memory }),
    eachInput: streams ? (visit) => streams.each(visit) : noInputs,
    ...(streams && { eachFactor: (visit) => streams.each(visit, true) }),
    rescaleInputs: streams ? (divisors) => rescaleInputs(plan, layer, spec, inHand, streams, divisors) : noInputs,
  }
}

type ServedLinear = readonly [weight: Float32Array, bias: Float32Array | null, entry: LinearInHand]

function originals(inHand: readonly LinearInHand[]): ServedLinear[] {
  return inHand.map((entry) => [entry.linear.weight, entry.originalBias, entry])
}

/** Puts linears on the engine for as long as `work` takes. */
async function withLinears(served: readonly ServedLinear[], work: (linears: readonly LinearTensors[]) => Promise<void>): Promise<void> {
  const linears: LinearTensors[] = []
  try {
    for (const [weight, bias, { planned }] of served) linears.push(linearTensors(weight, bias, planned.spec))
    await work(linears)
  } finally {
    linears.forEach(disposeLinear)
  }
}

async function finishLayer(plan: Plan, layer: LayerInHand): Promise<CompressedLayer> {
  await layer.cache?.settle()
  const reports = layer.linears.flatMap(({ linear }) => linear.report ?? [])
  return {
    name: layer.name,
    tensors: span('step', 'encode', () => encodeLayer(plan, layer)),
    saved: [],
    reports,
    statistics: layer.statistics,
    rescaled: [...layer.rescaled],
    experts: await layer.experts.take(),
    hidden: null,
  }
}

/** The hidden states that enter the first layer. */
async function embed({ source, needs }: Plan, batches: readonly StreamBatch[], store: TensorStore): Promise<HiddenStates> {
  const compressed = await embedBatches(source, batches, (tensor) => store.park([tensor]))
  if (needs !== 'originals') return { compressed, originals: null }
  const originals: Tensor2D[] = []
  try {
    for (const tensor of compressed) {
      await store.load([tensor])
      const clone = tf.clone(tensor)
      originals.push(clone)
      await store.park([tensor, clone])
    }
    return { compressed, originals }
  } catch (error) {
    disposeHidden({ compressed, originals })
    throw error
  }
}

function layerNames({ source: { model } }: Plan): string[] {
  return [...Array.from({ length: model.layers }, (_, layer) => model.layerName(layer)), model.head().name]
}

async function requireFinite(hidden: readonly Tensor2D[], layer: string, store: TensorStore): Promise<void> {
  for (const tensor of hidden) {
    await store.load([tensor])
    const total = tf.sum(tensor)
    const [sum] = await total.data()
    total.dispose()
    await store.park([tensor])
    if (!Number.isFinite(sum)) throw new RunError(`Cannot go on after ${layer}: its outputs are not finite (sum ${sum}), expected numbers.`)
  }
}
