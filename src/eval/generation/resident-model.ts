import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { breathe } from '../../engine/breathe.ts'
import { NotOnHost, onHost } from '../../engine/host/host-backend.ts'
import type { Matrices } from '../../kernels/matrices.ts'
import type { BatchShape, LayerHooks, LayerWalk, Parameters } from '../../models/architecture.ts'
import { attentionOf } from '../../models/attention-of.ts'
import { uncomputable } from '../../models/computable.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { Walker } from '../../models/walker.ts'
import { disposeParameters, embeddingRows, loadParameters } from '../../models/weights.ts'
import { CheckpointError } from '../../util/errors.ts'
import { type ServedCache, servedCache } from '../served-cache.ts'
import { KeyValueCache } from './key-value-cache.ts'
import { RecordedStep } from './recorded-step.ts'
import { ResidentLinears } from './resident-linears.ts'

/** A checkpoint in memory, its linears as they are stored: what text is generated with. */
export class ResidentModel {
  readonly source: OpenModel
  readonly linears: ResidentLinears
  /** Norms and the like by full name, on the engine that was open. */
  readonly parameters: Parameters
  /** Whether steps of a token can be recorded; found out by the first. */
  recordable = true
  readonly #caches: ReadonlyMap<number, ServedCache>
  #onHost: Map<string, Tensor> | undefined
  #values: Map<string, Float32Array> | undefined

  private constructor(source: OpenModel, linears: ResidentLinears, parameters: Parameters, caches: ReadonlyMap<number, ServedCache>) {
    this.source = source
    this.linears = linears
    this.parameters = parameters
    this.#caches = caches
  }

  /**
   * Reads all of a checkpoint but its embedding, of which rows are read as tokens come. The matrices stay the caller's.
   * Errors: CheckpointError before any compute for what is not computed here; RunError where memory ends.
   */
  static async read(
    source: OpenModel,
    matrices: Matrices,
    onLinear: (index: number, of: number) => void = () => {},
  ): Promise<ResidentModel> {
    const { model } = source
    const reason = uncomputable(source)
    if (reason !== null) throw new CheckpointError(`Cannot generate with ${source.path}: ${reason}.`, { file: 'config.json' })
    const caches = await servedCache(source)
    const linears = await ResidentLinears.read(source, matrices, onLinear)
    const layers = Array.from({ length: model.layers }, (_, layer) => model.parameters(layer)).flat()
    const parameters = await loadParameters(source, [...model.embedParameters(), ...layers, ...model.headParameters()])
    return new ResidentModel(source, linears, parameters, caches)
  }

  /** Begins `rows` rows that grow together, to `longest` tokens each at most. */
  begin(rows: number, longest: number): Sequence {
    return new Sequence(this, this.#caches, rows, longest)
  }

  /** The parameters as tensors of the host; made while it is the backend, from the `values` of all. */
  hostParameters(values: ReadonlyMap<string, Float32Array>): Parameters {
    this.#onHost ??= new Map(
      [...this.parameters].map(([name, { shape }]) => [name, tf.keep(tf.tensor(values.get(name) ?? new Float32Array(0), shape))]),
    )
    return this.#onHost
  }

  /** The numbers of all parameters; read once. */
  async parameterValues(): Promise<ReadonlyMap<string, Float32Array>> {
    this.#values ??= new Map()
    if (this.#values.size === 0) for (const [name, tensor] of this.parameters) this.#values.set(name, (await tensor.data()) as Float32Array)
    return this.#values
  }

  /** Disposes of what is on the engine. */
  dispose(): void {
    disposeParameters(this.parameters)
    if (this.#onHost) disposeParameters(this.#onHost)
  }
}

/** Rows of tokens of one length and what a model remembers of them. */
export class Sequence {
  readonly #model: ResidentModel
  readonly #rows: number
  readonly #longest: number
  readonly #caches: KeyValueCache[]
  #length = 0
  #step: RecordedStep | undefined

  constructor(model: ResidentModel, served: ReadonlyMap<number, ServedCache>, rows: number, longest: number) {
    const { kvHeads } = attentionOf(model.source.model)
    this.#model = model
    this.#rows = rows
    this.#longest = longest
    this.#caches = Array.from(
      { length: model.source.model.layers },
      (_, layer) => new KeyValueCache(rows, kvHeads, longest, served.get(layer) ?? null),
    )
  }

  /** Tokens of a row so far. */
  get length(): number {
    return this.#length
  }

  /**
   * Reads more tokens, ids [rows * length], and gives the logits [rows, vocab] that follow the last of each row. Errors: RangeError for more
   * than the rows were begun for; the signal's reason, looked at between layers.
   */
  async read(ids: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    const { source, parameters } = this.#model
    const { model } = source
    const start = this.#length
    const length = ids.length / this.#rows
    if (start + length > this.#longest)
      throw new RangeError(`Cannot read ${length} more tokens after ${start}: the rows were begun for ${this.#longest}`)
    if (start > 0 && length === 1 && this.#model.recordable) {
      const logits = await this.#readRecorded(ids)
      if (logits) return logits
    }
    const batch: BatchShape = start === 0 ? { rows: this.#rows, length } : { rows: this.#rows, length, start }
    const shared = model.shared(length, start, this.#longest)
    let hidden = await this.#embed(ids, batch, parameters)
    try {
      for (let layer = 0; layer < model.layers; layer++) {
        const walk = model.walk(layer, hidden, parameters, shared, batch, this.#hooks(layer, batch))
        hidden = await this.#finish(walk, hidden, `${model.layerName(layer)}.`)
        if (!signal) continue
        await breathe()
        signal.throwIfAborted()
      }
      this.#advance(length)
      const last = tf.tidy(() => lastOfRows(hidden, batch))
      hidden.dispose()
      hidden = last
      hidden = await this.#finish(model.walkHead(hidden, parameters), hidden, '')
      return await hidden.data<'float32'>()
    } finally {
      tf.dispose([hidden, ...shared])
    }
  }

  /** A token of each row by the recording of such a step, which the first one makes; null where none can be made. */
  async #readRecorded(ids: Int32Array): Promise<Float32Array | null> {
    const values = await this.#model.parameterValues()
    try {
      const logits = await onHost(async (host) => {
        const parameters = this.#model.hostParameters(values)
        const batch: BatchShape = { rows: this.#rows, length: 1, start: this.#length }
        const hidden = await this.#embed(ids, batch, parameters)
        const { model } = this.#model.source
        const shared = model.shared(1, this.#length, this.#longest)
        try {
          this.#step ??= new RecordedStep(host, model, this.#model.linears, parameters, batch, (layer) => this.#hooks(layer, batch))
          return this.#step.run(hidden, shared)
        } finally {
          tf.dispose([hidden, ...shared])
        }
      })
      this.#advance(1)
      return logits
    } catch (error) {
      if (!(error instanceof NotOnHost)) throw error
      this.#model.recordable = false
      return null
    }
  }

  #advance(length: number): void {
    this.#length += length
    for (const cache of this.#caches) cache.advance(length)
  }

  async #embed(ids: Int32Array, batch: BatchShape, parameters: Parameters): Promise<Tensor2D> {
    const { source } = this.#model
    const rows = await embeddingRows(source, ids)
    try {
      return tf.tidy(() => source.model.embed(rows, batch, parameters))
    } finally {
      rows.dispose()
    }
  }

  /** The first tokens see each other as in any forward pass, and the cache takes them in; later ones are the cache's work. */
  #hooks(layer: number, { start, rows, length }: BatchShape): LayerHooks {
    const cache = this.#caches[layer]
    if (start) return { routedOnly: true, attendCached: (step) => cache.attend(step) }
    return { routedOnly: true, throughCache: (x, _, of) => cache.fill(x, rows, of, length) }
  }

  /** Takes a walk to its end; `input` is disposed of. */
  async #finish(walk: LayerWalk, input: Tensor2D, prefix: string): Promise<Tensor2D> {
    const walker = await Walker.start(walk, input)
    try {
      while (!walker.result) await walker.answer(await this.#model.linears.answer(walker.request, prefix))
      return walker.result
    } catch (error) {
      walker.dispose()
      throw error
    }
  }
}

/** The last token of each row of x [rows * length, hidden]: [rows, hidden]. */
function lastOfRows(x: Tensor, { rows, length }: BatchShape): Tensor2D {
  const hidden = x.size / rows / length
  const last = tf.slice(tf.reshape(x, [rows, length, hidden]), [0, length - 1, 0], [rows, 1, hidden])
  return tf.reshape(last, [rows, hidden])
}
