import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../engine/breathe.ts'
import { type LinearInput, linearInput } from '../engine/mat-mul.ts'
import type { LayerHooks, LayerWalk, LinearSpec, StageRequest } from '../models/architecture.ts'
import type { Batch } from '../models/batches.ts'
import { uncomputable } from '../models/computable.ts'
import { type OpenModel, readWeight } from '../models/open-model.ts'
import { Walker } from '../models/walker.ts'
import {
  applyLinear,
  disposeLinear,
  disposeParameters,
  embedBatches,
  headTensors,
  type LinearTensors,
  linearTensors,
  loadBias,
  loadParameters,
} from '../models/weights.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { CheckpointError } from '../util/errors.ts'
import { fakeQuantize, fakeQuantizeCache } from './fake-quantize.ts'
import {
  applyLlmInt8,
  disposeLlmInt8,
  type LlmInt8Batch,
  type LlmInt8Tensors,
  llmInt8Batch,
  llmInt8Tensors,
  readLlmInt8,
} from './llm-int8.ts'
import { addOutliers, type OutlierColumns, outlierColumns, type SeenOutliers } from './outlier-columns.ts'
import { type ServedCache, servedCache } from './served-cache.ts'
import { type ServedInputs, servedInputs } from './served-inputs.ts'

/** A linear as a server runs it: its weight and how its inputs are quantized; for LLM.int8 as codes. */
type ServedLinear =
  | { readonly inputs: ServedInputs | null; readonly floats: LinearTensors; readonly codes: null }
  | { readonly inputs: ServedInputs; readonly floats: null; readonly codes: LlmInt8Tensors }

/** The linears of a layer by name, which stay where they are put. */
type ServedLinears = Map<string, ServedLinear>

/** The head of a model with its weight on the engine. */
export interface Head {
  /** Logits [tokens, vocab] of hidden states [tokens, hidden], which are disposed of. */
  logits(hidden: Tensor2D): Promise<Tensor2D>
  dispose(): void
}

/**
 * A checkpoint, original or compressed, as it is served: one layer in memory at a time, inputs of linears and the cache quantized where the
 * scheme says so. Who calls decides how hidden states go from layer to layer, so several checkpoints can go side by side.
 */
export class ForwardPass {
  readonly source: OpenModel
  readonly #inputs: ReadonlyMap<string, ServedInputs>
  readonly #caches: ReadonlyMap<number, ServedCache>
  readonly #outliers: SeenOutliers = new Map()

  private constructor(source: OpenModel, inputs: ReadonlyMap<string, ServedInputs>, caches: ReadonlyMap<number, ServedCache>) {
    this.source = source
    this.#inputs = inputs
    this.#caches = caches
  }

  /** Errors: CheckpointError before any compute for quantization at run time that is not computed here. */
  static async open(source: OpenModel): Promise<ForwardPass> {
    const reason = uncomputable(source)
    if (reason !== null) throw new CheckpointError(`Cannot evaluate ${source.path}: ${reason}.`, { file: 'config.json' })
    return new ForwardPass(source, await servedInputs(source), await servedCache(source))
  }

  /** Columns of inputs that LLM.int8 left in 16 bits so far; null for other checkpoints. */
  get outliers(): OutlierColumns | null {
    return outlierColumns(this.#inputs, this.#outliers)
  }

  /** The hidden states that enter the first layer, a tensor a batch; the caller disposes of them. */
  embed(batches: readonly Batch[]): Promise<Tensor2D[]> {
    return embedBatches(this.source, batches)
  }

  /** What a layer makes of each batch; the hidden states that enter it are disposed of as they are used, those left by an error too. */
  async throughLayer(
    layer: number,
    hidden: readonly Tensor2D[],
    batches: readonly Batch[],
    shared: readonly Tensor[],
    signal?: AbortSignal,
  ): Promise<Tensor2D[]> {
    const { source } = this
    const { model } = source
    const outputs: Tensor2D[] = []
    const linears: ServedLinears = new Map()
    let parameters = new Map<string, Tensor>()
    const prefix = `${model.layerName(layer)}.`
    const hooks = cacheHooks(this.#caches.get(layer))
    try {
      parameters = await loadParameters(source, model.parameters(layer))
      await this.#serve(model.linears(layer), linears, linearTensors)
      for (const [i, { shape }] of batches.entries()) {
        outputs.push(
          await finishWalk(model.walk(layer, hidden[i], parameters, shared, shape, hooks), hidden[i], linears, prefix, this.#outliers),
        )
        await breathe()
        signal?.throwIfAborted()
      }
      return outputs
    } catch (error) {
      tf.dispose([...outputs, ...hidden])
      throw error
    } finally {
      linears.forEach(disposeServed)
      disposeParameters(parameters)
    }
  }

  /** Puts the head on the engine; the caller disposes of it. */
  async openHead(): Promise<Head> {
    const { model } = this.source
    const parameters = await loadParameters(this.source, model.headParameters())
    const linears: ServedLinears = new Map()
    const dispose = () => {
      linears.forEach(disposeServed)
      disposeParameters(parameters)
    }
    try {
      await this.#serve([model.head()], linears, headTensors)
      // What it was read into: for large vocabularies as much as all else.
      collectGarbage()
    } catch (error) {
      dispose()
      throw error
    }
    return { logits: (hidden) => finishWalk(model.walkHead(hidden, parameters), hidden, linears, '', this.#outliers), dispose }
  }

  /** Puts linears on the engine and into `linears`, whose owner disposes of them, also of some when there is an error at another. */
  async #serve(specs: readonly LinearSpec[], linears: ServedLinears, load: typeof linearTensors): Promise<void> {
    for (const spec of specs) {
      const inputs = this.#inputs.get(spec.name) ?? null
      if (inputs?.args.outlier_threshold !== undefined) {
        const weight = await readLlmInt8(this.source, spec)
        linears.set(spec.name, { inputs, floats: null, codes: llmInt8Tensors(new Float32Array(weight.codes), weight, spec) })
        continue
      }
      const floats = load(await readWeight(this.source, spec), await loadBias(this.source, spec), spec)
      linears.set(spec.name, { inputs, floats, codes: null })
    }
  }
}

/** Keys and values as a quantized cache gives them back; experts compute what is routed to them. */
function cacheHooks(served: ServedCache | undefined): LayerHooks {
  if (!served) return { routedOnly: true }
  const { args, k, v } = served
  return { routedOnly: true, throughCache: (x, rows, of) => fakeQuantizeCache(x, rows, args, of === 'keys' ? k : v) }
}

/** Takes one batch to the end of a walk; `input` is disposed of. */
async function finishWalk(
  walk: LayerWalk,
  input: Tensor2D,
  linears: ReadonlyMap<string, ServedLinear>,
  prefix: string,
  outliers: SeenOutliers,
): Promise<Tensor2D> {
  const walker = await Walker.start(walk, input)
  try {
    while (!walker.result) await walker.answer(await answerRequest(walker.request, linears, prefix, outliers))
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
  outliers: SeenOutliers,
): Promise<Tensor2D[]> {
  const served = stage.linears.flatMap((name) => {
    const linear = linears.get(prefix + name)
    return linear ? [{ linear, name: prefix + name }] : []
  })
  const values = served.some(({ linear }) => linear.inputs) ? await input.data<'float32'>() : new Float32Array(0)
  // The linears of a stage mostly have one scheme: then they share the quantized input. Stored scales are each linear's own.
  const inputs = new Map<string, LinearInput>()
  const batches = new Map<number, LlmInt8Batch>()
  const [tokens, columns] = input.shape
  const quantized = ({ args, scale }: ServedInputs) => tf.tensor2d(fakeQuantize(values, tokens, columns, args, scale), input.shape)
  return tf.tidy(() =>
    served.map(({ linear, name }) => {
      if (linear.codes) {
        const threshold = linear.inputs.args.outlier_threshold ?? 0
        const batch = batches.get(threshold) ?? llmInt8Batch(values, tokens, columns, threshold)
        batches.set(threshold, batch)
        addOutliers(outliers, name, batch.isOutlier)
        return applyLlmInt8(batch, linear.codes)
      }
      const key = linear.inputs ? JSON.stringify([linear.inputs.args, linear.inputs.scale]) : ''
      const own = inputs.get(key) ?? linearInput(linear.inputs ? quantized(linear.inputs) : input)
      inputs.set(key, own)
      return applyLinear(own, linear.floats)
    }),
  )
}

function disposeServed({ floats, codes }: ServedLinear): void {
  if (floats) disposeLinear(floats)
  else disposeLlmInt8(codes)
}
