import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { openEngine } from '../../src/engine/open.ts'
import { openKernels } from '../../src/kernels/open.ts'
import { cutBatches } from '../../src/models/batches.ts'
import { type OpenModel, readWeight } from '../../src/models/open-model.ts'
import { Walker } from '../../src/models/walker.ts'
import { applyLinears, disposeLinear, disposeParameters, embeddingRows, linearTensors, loadParameters } from '../../src/models/weights.ts'
import type { Linear, Modifier, Stage } from '../../src/modifiers/modifier.ts'

/** The inputs [tokens, columns] of one stage. */
export interface Seen {
  /** `model.layers.0 · attention inputs` */
  name: string
  /** Full names. */
  linears: string[]
  input: Float32Array
}

/**
 * The inputs of every stage as llm-compressor's sequential pipeline sees them: a layer reads what the compressed layers before it gave,
 * and its own linears are still the originals.
 */
export async function pipelineInputs(original: OpenModel, compressed: OpenModel, rows: readonly Int32Array[]): Promise<Seen[]> {
  const { model } = original
  const [batch] = cutBatches(rows)
  if (batch.shape.rows !== rows.length) throw new Error('expected rows that make one batch')
  const seen: Seen[] = []
  const shared = model.shared(batch.shape.length)
  let hidden = await embeddingRows(original, batch.ids)
  for (let layer = 0; layer < model.layers; layer++) {
    const through = async (source: OpenModel, show?: (at: Seen) => void): Promise<Tensor2D> => {
      const parameters = await loadParameters(original, model.parameters(layer))
      const input = tf.clone(hidden)
      const walker = await Walker.start(model.walk(layer, input, parameters, shared, batch.shape), input)
      while (!walker.result) {
        const { stage, input } = walker.request
        const specs = stage.linears.map((name) => `${model.layerName(layer)}.${name}`)
        show?.({ name: `${model.layerName(layer)} · ${stage.name}`, linears: specs, input: Float32Array.from(input.dataSync()) })
        const outputs: Tensor2D[] = []
        for (const spec of model.linears(layer).filter(({ name }) => specs.includes(name))) {
          const linear = linearTensors(await readWeight(source, spec), null, spec)
          outputs.push(...applyLinears(input, [linear]))
          disposeLinear(linear)
        }
        await walker.answer(outputs)
      }
      disposeParameters(parameters)
      return walker.result
    }
    tf.dispose(await through(original, (at) => seen.push(at)))
    const next = await through(compressed)
    hidden.dispose()
    hidden = next
  }
  tf.dispose([hidden, ...shared])
  return seen
}

/** Lets a modifier work on linears that read `input` [tokens, columns of the linears], with one scheme or a scheme each; the linears carry its results. */
export async function applyTo(
  modifier: Modifier,
  linears: readonly Linear[],
  scheme: QuantizationScheme | readonly QuantizationScheme[],
  input: Float32Array,
  name = 'a stage',
  overrides: Partial<Engine> = {},
): Promise<void> {
  const engine = await openEngine({ engine: 'wasm', threads: 2 })
  const kernels = await openKernels({ threads: 1 })
  const { columns } = linears[0]
  const stage: Stage = {
    name,
    linears,
    engine: { ...engine, ...overrides },
    kernels,
    signal: new AbortController().signal,
    hasInputs: true,
    addsToResidual: false,
    eachInput: async (visit) => {
      const length = input.length / columns
      const x = tf.tensor2d(input, [length, columns])
      visit(x, { rows: 1, length, heldBack: false, residual: null, original: null })
      x.dispose()
    },
    rescaleInputs: () => Promise.reject(new Error('expected no rescaling')),
  }
  try {
    const schemes = [scheme].flat()
    await modifier.apply(stage, new Map(linears.map((linear, i) => [linear, schemes[i % schemes.length]])))
  } finally {
    await kernels.close()
  }
}

/** A linear in hand with nothing done to it. */
export function linearOf(name: string, rows: number, columns: number, weight: Float32Array): Linear {
  return { name, rows, columns, dtype: 'BF16', scheme: null, weight, bias: null, quantized: null, report: null }
}

/** Σ x xᵀ over the inputs [tokens, n], in float64. */
export function secondMoments(input: Float32Array, n: number): Float64Array {
  const h = new Float64Array(n * n)
  for (let token = 0; token < input.length; token += n) {
    for (let i = 0; i < n; i++) {
      const x = input[token + i]
      for (let j = 0, row = i * n; j < n; j++) h[row + j] += x * input[token + j]
    }
  }
  return h
}

/** tr(E H Eᵀ) of E = W' - W: the squared change of the outputs over the inputs of H, in float64. */
export function outputError(weight: Float32Array, changed: Float32Array, h: Float64Array): number {
  const n = Math.sqrt(h.length)
  const error = new Float64Array(n)
  let sum = 0
  for (let row = 0; row < weight.length; row += n) {
    for (let j = 0; j < n; j++) error[j] = changed[row + j] - weight[row + j]
    for (let i = 0; i < n; i++) {
      let product = 0
      for (let j = 0, from = i * n; j < n; j++) product += h[from + j] * error[j]
      sum += error[i] * product
    }
  }
  return sum
}
