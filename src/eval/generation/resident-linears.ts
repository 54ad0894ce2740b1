import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { type LinearInput, linearInput } from '../../engine/mat-mul.ts'
import type { Matrices } from '../../kernels/matrices.ts'
import type { LinearSpec, StageRequest } from '../../models/architecture.ts'
import { allLinears, type OpenModel } from '../../models/open-model.ts'
import { applyLinear, disposeLinear, linearTensors } from '../../models/weights.ts'
import { bytesOf } from '../../numerics/view.ts'
import { span } from '../../util/span.ts'
import { fakeQuantize } from '../fake-quantize.ts'
import { applyLlmInt8, disposeLlmInt8, type LlmInt8Batch, llmInt8Batch, llmInt8Tensors, multiplyLlmInt8, readLlmInt8 } from '../llm-int8.ts'
import { type ServedInputs, servedInputs } from '../served-inputs.ts'
import { readMatrix } from './read-matrix.ts'

interface Linear {
  readonly spec: LinearSpec
  /** Its number in `Matrices`. */
  readonly matrix: number
  readonly bias: Float32Array | null
  readonly inputs: ServedInputs | null
  /** [rows] of LLM.int8, whose codes are held without scale and bias; null for all else. */
  readonly magnitudes: Float32Array | null
}

/**
 * From so many tokens on, weights are dequantized and multiplied by the engine: that takes a pass over each weight, which products of
 * few tokens would take as well, and then is several times as fast.
 */
const MANY = 48

/** All linears of a model in memory as they are stored, and what they make of their inputs. */
export class ResidentLinears {
  readonly #matrices: Matrices
  readonly #linears = new Map<string, Linear>()

  private constructor(matrices: Matrices) {
    this.#matrices = matrices
  }

  /** Reads every linear into `matrices`. `onLinear` is called before each. Errors: CheckpointError; RunError where memory ends. */
  static async read(source: OpenModel, matrices: Matrices, onLinear: (index: number, of: number) => void): Promise<ResidentLinears> {
    const resident = new ResidentLinears(matrices)
    const inputs = await servedInputs(source)
    const specs = allLinears(source.model)
    for (const [index, spec] of specs.entries()) {
      onLinear(index, specs.length)
      const own = inputs.get(spec.name) ?? null
      if (own?.args.outlier_threshold !== undefined) {
        const { codes, magnitudes, bias } = await readLlmInt8(source, spec)
        const { rows, columns } = spec
        const form = { rows, columns, format: 'int8', data: bytesOf(codes), groupSize: columns, zeroPoint: null, bias: null } as const
        const matrix = matrices.add({ ...form, scale: new Float32Array(rows).fill(1) })
        resident.#linears.set(spec.name, { spec, matrix, bias, inputs: own, magnitudes })
        continue
      }
      const read = await readMatrix(source, spec)
      resident.#linears.set(spec.name, { spec, matrix: matrices.add(read), bias: read.bias, inputs: own, magnitudes: null })
    }
    return resident
  }

  /** What the linears named make of x [tokens, columns], quantized as their scheme says: [tokens, rows] each. */
  multiply(names: readonly string[], x: Float32Array, tokens: number): Float32Array[] {
    const linears = names.map((name) => this.#find(name))
    const schemes = [...inputSchemes(linears).values()]
    if (schemes.length === 1) return this.#multiplyAlike(linears, x, tokens)
    const outputs = new Map<Linear, Float32Array>()
    for (const own of schemes) {
      const found = this.#multiplyAlike(own, x, tokens)
      for (const [i, linear] of own.entries()) outputs.set(linear, found[i])
    }
    return linears.flatMap((linear) => outputs.get(linear) ?? [])
  }

  /** Answers a layer's request; `prefix` stands before the names of its linears. */
  async answer({ stage, input }: StageRequest, prefix: string): Promise<Tensor2D[]> {
    const names = stage.linears.map((name) => prefix + name)
    const [tokens] = input.shape
    if (tokens < MANY) {
      const x = await input.data<'float32'>()
      return this.multiply(names, x, tokens).map((y) => tf.tensor2d(y, [tokens, y.length / tokens]))
    }
    const linears = names.map((name) => this.#find(name))
    const values = linears.some(({ inputs }) => inputs) ? await input.data<'float32'>() : new Float32Array(0)
    return tf.tidy(() => {
      const read = new Map<string, LinearInput>()
      const batches = new Map<number, LlmInt8Batch>()
      return linears.map((linear) => {
        const { inputs } = linear
        const threshold = inputs?.args.outlier_threshold
        if (threshold === undefined) {
          const scheme = schemeOf(linear)
          const own = read.get(scheme) ?? linearInput(inputs ? tf.tensor2d(quantized(values, tokens, inputs), input.shape) : input)
          read.set(scheme, own)
          return this.#throughEngine(own, linear)
        }
        const batch = batches.get(threshold) ?? llmInt8Batch(values, ...input.shape, threshold)
        batches.set(threshold, batch)
        return this.#codesThroughEngine(batch, linear)
      })
    })
  }

  /** `multiply` by linears whose inputs are quantized alike. */
  #multiplyAlike(linears: readonly Linear[], x: Float32Array, tokens: number): Float32Array[] {
    const [{ inputs }] = linears
    const numbers = linears.map(({ matrix }) => matrix)
    const threshold = inputs?.args.outlier_threshold
    if (threshold === undefined) return this.#matrices.multiply(numbers, quantized(x, tokens, inputs), tokens)
    const weights = linears.flatMap(({ magnitudes, bias }) => (magnitudes ? { magnitudes, bias } : []))
    return multiplyLlmInt8(x, tokens, threshold, weights, (both, count) => this.#matrices.multiply(numbers, both, count))
  }

  #codesThroughEngine(x: LlmInt8Batch, { spec, matrix, bias, magnitudes }: Linear): Tensor2D {
    const codes = span('step', 'dequantize', () => this.#matrices.values(matrix))
    const tensors = llmInt8Tensors(codes, { magnitudes: magnitudes ?? new Float32Array(0), bias }, spec)
    try {
      return applyLlmInt8(x, tensors)
    } finally {
      disposeLlmInt8(tensors)
    }
  }

  #throughEngine(x: LinearInput, { spec, matrix, bias }: Linear): Tensor2D {
    const weight = span('step', 'dequantize', () => this.#matrices.values(matrix))
    const tensors = linearTensors(weight, bias, spec)
    try {
      return applyLinear(x, tensors)
    } finally {
      disposeLinear(tensors)
    }
  }

  #find(name: string): Linear {
    const linear = this.#linears.get(name)
    if (!linear) throw new RangeError(`Cannot multiply by ${name}: it was not read, expected a linear of the model`)
    return linear
  }
}

function schemeOf({ inputs }: Linear): string {
  return inputs ? JSON.stringify([inputs.args, inputs.scale]) : ''
}

/** Linears whose inputs are quantized alike, mostly all of a stage. */
function inputSchemes(linears: readonly Linear[]): Map<string, Linear[]> {
  const schemes = new Map<string, Linear[]>()
  for (const linear of linears) {
    const key = schemeOf(linear)
    schemes.set(key, [...(schemes.get(key) ?? []), linear])
  }
  return schemes
}

function quantized(x: Float32Array, tokens: number, inputs: ServedInputs | null): Float32Array {
  return inputs ? fakeQuantize(x, tokens, x.length / tokens, inputs.args, inputs.scale) : x
}
