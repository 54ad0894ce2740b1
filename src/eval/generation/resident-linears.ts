import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Matrices } from '../../kernels/matrices.ts'
import type { LinearSpec, StageRequest } from '../../models/architecture.ts'
import { allLinears, type OpenModel } from '../../models/open-model.ts'
import { applyLinear, disposeLinear, linearTensors } from '../../models/weights.ts'
import { span } from '../../util/span.ts'
import { fakeQuantize } from '../fake-quantize.ts'
import { type ServedInputs, servedInputs } from '../served-inputs.ts'
import { readMatrix } from './read-matrix.ts'

interface Linear {
  readonly spec: LinearSpec
  /** Its number in `Matrices`. */
  readonly matrix: number
  readonly bias: Float32Array | null
  readonly inputs: ServedInputs | null
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
      const read = await readMatrix(source, spec)
      resident.#linears.set(spec.name, { spec, matrix: matrices.add(read), bias: read.bias, inputs: inputs.get(spec.name) ?? null })
    }
    return resident
  }

  /** What the linears named make of x [tokens, columns], quantized as their scheme says: [tokens, rows] each. */
  multiply(names: readonly string[], x: Float32Array, tokens: number): Float32Array[] {
    const linears = names.map((name) => this.#find(name))
    const schemes = inputSchemes(linears)
    if (schemes.size === 1) {
      const [inputs] = [...schemes.values()].map(([{ inputs }]) => inputs)
      return this.#matrices.multiply(
        linears.map(({ matrix }) => matrix),
        quantized(x, tokens, inputs),
        tokens,
      )
    }
    const outputs = new Map<Linear, Float32Array>()
    for (const own of schemes.values()) {
      const numbers = own.map(({ matrix }) => matrix)
      const found = this.#matrices.multiply(numbers, quantized(x, tokens, own[0].inputs), tokens)
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
      const read = new Map<string, Tensor2D>()
      for (const [scheme, [{ inputs }]] of inputSchemes(linears))
        read.set(scheme, inputs ? tf.tensor2d(quantized(values, tokens, inputs), input.shape) : input)
      return linears.map((linear) => this.#throughEngine(read.get(schemeOf(linear)) ?? input, linear))
    })
  }

  #throughEngine(x: Tensor2D, { spec, matrix, bias }: Linear): Tensor2D {
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
