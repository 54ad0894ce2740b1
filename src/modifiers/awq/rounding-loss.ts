import { setImmediate } from 'node:timers/promises'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs, QuantizationScheme } from '../../checkpoint/quantization-config.ts'
import { matMul } from '../../engine/mat-mul.ts'
import { globalScaleOf } from '../../schemes/qparams.ts'
import { roundedValues } from '../../schemes/round-to-grid.ts'
import { weightGrid } from '../../schemes/weight-grid.ts'
import type { Linear, Stage } from '../modifier.ts'
import type { Hessian } from '../statistics/moments.ts'
import { largestWeights } from '../statistics/weights.ts'

/** A way to rescale the channels of a stage: weights times `factors` (null: they stand as they are), inputs over `divisors`; [columns]. */
interface Rescaling {
  readonly factors: Float32Array | null
  readonly divisors: Float32Array
}

/** Linears with the schemes that they are quantized by. */
export type Targets = ReadonlyMap<Linear, QuantizationScheme>

/** Matrix elements that are multiplied at a time (16 MB of float32): large enough for a fast product, small beside a layer. */
const BLOCK = 2 ** 22

/**
 * What plain rounding would cost under each of several rescalings: Σ tr(E H Eᵀ) over the linears, the squared change of their outputs per
 * token, with E = (Q(W s) - W s) / s. Q rounds to the grid that QuantizationModifier takes with these inputs. All errors go through few
 * products with H.
 */
export async function roundingLosses(
  stage: Stage,
  hessian: Hessian,
  targets: Targets,
  candidates: readonly Rescaling[],
): Promise<Float64Array> {
  const forms = new QuadraticForms(hessian, candidates.length)
  const inputs = { meanSquare: hessian.matrix.diagonal(), largest: largestWeights(targets.keys()) }
  try {
    for (const [linear, scheme] of targets) {
      if (!scheme.weights) continue
      for (const [index, candidate] of candidates.entries()) {
        stage.signal.throwIfAborted()
        await forms.add(index, await roundingError(stage.kernels, linear, scheme, scheme.weights, candidate, inputs))
        await setImmediate()
      }
    }
    return await forms.finish()
  } finally {
    forms.dispose()
  }
}

/** Σ tr(W H Wᵀ) over the linears: the squared outputs per token, which losses are a part of. */
export async function outputPower(hessian: Hessian, targets: Targets): Promise<number> {
  const forms = new QuadraticForms(hessian, 1)
  try {
    for (const { weight } of targets.keys()) await forms.add(0, weight)
    return (await forms.finish())[0]
  } finally {
    forms.dispose()
  }
}

/**
 * (Q(W s) - W s) / s [rows, columns]. `meanSquare` [columns] of the inputs; `largest`: max |W| of each column over all linears, which NVFP4
 * shares a global scale over.
 */
async function roundingError(
  kernels: Stage['kernels'],
  linear: Linear,
  scheme: QuantizationScheme,
  args: QuantizationArgs,
  { factors, divisors }: Rescaling,
  { meanSquare, largest }: { readonly meanSquare: Float32Array; readonly largest: Float32Array },
): Promise<Float32Array> {
  const { rows, columns } = linear
  const scaled = factors ? timesColumns(linear, factors) : linear.weight
  const globalScale = globalScaleOf(largest.reduce((most, value, c) => Math.max(most, Math.fround(value * (factors?.[c] ?? 1))), 0))
  const importance = meanSquare.map((square, c) => square / divisors[c] ** 2)
  const grid = await weightGrid(kernels, { ...linear, weight: scaled }, scheme, args, { importance, signed: true, globalScale })
  const error = await roundedValues(kernels, scaled, rows, columns, args, grid)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let c = 0; c < columns; c++) error[base + c] = (error[base + c] - scaled[base + c]) / divisors[c]
  }
  return error
}

function timesColumns({ weight, rows, columns }: Linear, factors: Float32Array): Float32Array {
  const product = new Float32Array(weight.length)
  for (let row = 0; row < rows; row++) {
    const base = row * columns
    for (let c = 0; c < columns; c++) product[base + c] = weight[base + c] * factors[c]
  }
  return product
}

/** Sums e H eᵀ over rows e, by number. Rows are collected into blocks, since one product of many rows is faster than many of few. */
class QuadraticForms {
  readonly #n: number
  readonly #h: Tensor2D
  readonly #sums: Float64Array
  readonly #block: Float32Array
  readonly #owners: Int32Array
  #rows = 0

  constructor({ n, matrix }: Hessian, count: number) {
    this.#n = n
    this.#h = tf.tensor2d(matrix.block(0, n, 0, n), [n, n])
    this.#sums = new Float64Array(count)
    this.#owners = new Int32Array(Math.max(1, Math.floor(BLOCK / n)))
    this.#block = new Float32Array(this.#owners.length * n)
  }

  /** Adds the rows of a matrix [rows, n] to the sum of this number. */
  async add(index: number, matrix: Float32Array): Promise<void> {
    const n = this.#n
    for (let from = 0; from < matrix.length; ) {
      const room = (this.#owners.length - this.#rows) * n
      const part = matrix.subarray(from, from + room)
      this.#block.set(part, this.#rows * n)
      this.#owners.fill(index, this.#rows, this.#rows + part.length / n)
      this.#rows += part.length / n
      from += part.length
      if (this.#rows === this.#owners.length) await this.#multiply()
    }
  }

  /** The sums; nothing may be added afterwards. */
  async finish(): Promise<Float64Array> {
    if (this.#rows > 0) await this.#multiply()
    return this.#sums
  }

  async #multiply(): Promise<void> {
    const n = this.#n
    const products = tf.tidy(() => {
      const e = tf.tensor2d(this.#block.subarray(0, this.#rows * n), [this.#rows, n])
      // Summed over rows on the engine and over the rest here: TensorFlow's full sum depends on the number of threads.
      return tf.sum(tf.mul(matMul(e, this.#h), e), 1)
    })
    const forms = await products.data()
    products.dispose()
    for (let row = 0; row < this.#rows; row++) this.#sums[this.#owners[row]] += forms[row]
    this.#rows = 0
  }

  dispose(): void {
    this.#h.dispose()
  }
}
