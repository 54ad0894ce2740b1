import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { type HostBackend, NotOnHost } from '../../engine/host/host-backend.ts'
import type { BatchShape, HostRequest, LayerHooks, LayerWalk, Model, Parameters, StageRequest } from '../../models/architecture.ts'
import type { ResidentLinears } from './resident-linears.ts'

/**
 * One token through all layers and the head, written down as what is to be computed in which arrays. The layers' generators run once, for the
 * first token; for those that follow only the position and the cache are others, so the same kernels, products and attentions are done again.
 */
export class RecordedStep {
  readonly #host: HostBackend
  readonly #linears: ResidentLinears
  readonly #steps: (() => void)[] = []
  readonly #model: Model
  readonly #parameters: Parameters
  readonly #batch: BatchShape
  readonly #hooks: (layer: number) => LayerHooks
  /** The tables that the recording read, and those of the token at hand. */
  #recorded: readonly Float32Array[] = []
  #tables: readonly Float32Array[] = []
  #input: Float32Array = new Float32Array(0)
  #logits: Float32Array | null = null

  /** `hooks` are those of every token: they know the position themselves. */
  constructor(
    host: HostBackend,
    model: Model,
    linears: ResidentLinears,
    parameters: Parameters,
    batch: BatchShape,
    hooks: (layer: number) => LayerHooks,
  ) {
    this.#host = host
    this.#model = model
    this.#linears = linears
    this.#parameters = parameters
    this.#batch = batch
    this.#hooks = hooks
  }

  /**
   * The logits [rows, vocab] after a token of each row: from what enters the first layer, and the tables for its position. While the host is
   * the backend. Errors: NotOnHost for layers that choose by values what they compute, or use what the host has not.
   */
  run(hidden: Tensor2D, shared: readonly Tensor[]): Float32Array {
    this.#tables = shared.map((table) => this.#host.valuesOf(table))
    if (this.#logits === null) return this.#record(hidden, shared).slice()
    this.#input.set(this.#host.valuesOf(hidden))
    for (const [i, table] of this.#tables.entries()) {
      // A mask grows with the position; attention alone reads it.
      if (table.length === this.#recorded[i].length) this.#recorded[i].set(table)
    }
    for (const step of this.#steps) step()
    return this.#logits.slice()
  }

  #record(hidden: Tensor2D, shared: readonly Tensor[]): Float32Array {
    const model = this.#model
    this.#recorded = this.#tables
    this.#host.record(this.#steps)
    try {
      let logits: Float32Array = new Float32Array(0)
      tf.tidy(() => {
        let h = tf.tensor2d(this.#host.valuesOf(hidden).slice(), hidden.shape)
        this.#input = this.#host.valuesOf(h)
        for (let layer = 0; layer < model.layers; layer++) {
          const walk = model.walk(layer, h, this.#parameters, shared, this.#batch, this.#hooks(layer))
          h = this.#finish(walk, `${model.layerName(layer)}.`)
        }
        logits = this.#host.valuesOf(this.#finish(model.walkHead(h, this.#parameters), ''))
      })
      this.#logits = logits
      return logits
    } finally {
      this.#host.record(null)
    }
  }

  #finish(walk: LayerWalk, prefix: string): Tensor2D {
    let step = walk.next([])
    while (!step.done) step = walk.next('read' in step.value ? this.#work(step.value) : this.#multiply(step.value, prefix))
    return step.value
  }

  #multiply({ stage, input }: StageRequest, prefix: string): Tensor2D[] {
    const names = stage.linears.map((name) => prefix + name)
    const x = this.#host.valuesOf(input)
    const [tokens] = input.shape
    const outputs = this.#linears.multiply(names, x, tokens)
    this.#steps.push(() => {
      const again = this.#linears.multiply(names, x, tokens)
      for (let i = 0; i < outputs.length; i++) outputs[i].set(again[i])
    })
    return outputs.map((y) => tf.tensor2d(y, [tokens, y.length / tokens]))
  }

  #work({ read, work, repeatable }: HostRequest): readonly Tensor2D[] {
    if (!repeatable) throw new NotOnHost('what a layer computes depends on what it finds')
    const arrays = read.map((tensor) => this.#host.valuesOf(tensor))
    const places = arrays.map((array) => this.#recorded.indexOf(array))
    const values = () => arrays.map((array, i) => (places[i] < 0 ? array : this.#tables[places[i]]))
    const made = work(values())
    const outputs = made.map((tensor) => this.#host.valuesOf(tensor))
    this.#steps.push(() => {
      const again = work(values())
      for (let i = 0; i < outputs.length; i++) outputs[i].set(this.#host.valuesOf(again[i]))
      tf.dispose([...again])
    })
    return made
  }
}
