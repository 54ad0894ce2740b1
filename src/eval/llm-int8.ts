import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { linearMatMul } from '../engine/mat-mul.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { type OpenModel, readSoundCodes } from '../models/open-model.ts'
import { loadBias } from '../models/weights.ts'
import { type LlmInt8Inputs, quantizeLlmInt8Inputs } from '../schemes/bitsandbytes.ts'
import { CheckpointError } from '../util/errors.ts'

/*
 * A linear as bitsandbytes 0.50 computes it for LLM.int8 on a CPU: sums of products of codes, exact; times the magnitudes of token and row, in
 * that order; the bias; then columns with outliers, in the type of the inputs, float32 here.
 */

/** What sums of codes are multiplied by. 1 / 127² is 6.200012e-05, which its CUDA kernels have: 2e-5 less. */
const PER_PRODUCT = Math.fround(6.200124e-5)

/** What codes of columns with outliers are multiplied by. */
const PER_CODE = Math.fround(7.874015718698502e-3)

/** Whole numbers below this are exact in float32. */
const EXACT = 2 ** 24

/** Columns whose sums are below `EXACT` whatever the codes are: 127 * 128 each. */
const SEGMENT = 1024

/** What is stored of a linear. */
export interface LlmInt8Weight {
  /** [rows, columns] */
  readonly codes: Int8Array<ArrayBuffer>
  /** [rows] what 127 stands for. */
  readonly magnitudes: Float32Array
  /** [rows] */
  readonly bias: Float32Array | null
}

/** A linear on the engine. */
export interface LlmInt8Tensors {
  /** Codes, [columns, rows]. */
  readonly transposed: Tensor2D
  /** [1, rows] */
  readonly magnitudes: Tensor2D
  readonly bias: Tensor1D | null
  /** The largest length of a row of codes. */
  readonly length: number
}

/** Inputs on the engine. */
export interface LlmInt8Batch {
  /** [tokens, columns] */
  readonly codes: Tensor2D
  /** [tokens, 1] */
  readonly magnitudes: Tensor2D
  /** Numbers of the columns that are left, and what is in them, [tokens, columns left]; null where there are none. */
  readonly left: { readonly columns: Tensor1D; readonly values: Tensor2D } | null
  /** The largest length of a token's codes. */
  readonly length: number
  readonly isOutlier: Uint8Array
}

/** Reads a linear that is stored for LLM.int8. Errors: CheckpointError as `readSoundCodes`, and for weights that are stored otherwise. */
export async function readLlmInt8(source: OpenModel, spec: LinearSpec): Promise<LlmInt8Weight> {
  const stored = source.compressed.get(spec.name)
  const quantized = stored?.scheme.weights && (await readSoundCodes(source.reader, stored, stored.scheme.weights, spec))
  if (!(quantized?.codes instanceof Int8Array) || quantized.scale.length !== spec.rows)
    throw new CheckpointError(
      `Cannot compute with ${spec.name}: its inputs are those of LLM.int8, expected weights of 8 bits with a scale a row.`,
    )
  return { codes: new Int8Array(quantized.codes), magnitudes: quantized.scale, bias: await loadBias(source, spec) }
}

/** Puts a linear on the engine, its `codes` [rows, columns] as float32. */
export function llmInt8Tensors(
  codes: Float32Array,
  { magnitudes, bias }: Omit<LlmInt8Weight, 'codes'>,
  { rows, columns }: Pick<LinearSpec, 'rows' | 'columns'>,
): LlmInt8Tensors {
  return {
    transposed: tf.tidy(() => tf.transpose(tf.tensor2d(codes, [rows, columns]))),
    magnitudes: tf.tensor2d(magnitudes, [1, rows]),
    bias: bias ? tf.tensor1d(bias) : null,
    length: longest(codes, columns),
  }
}

/** Disposes of what llmInt8Tensors made. */
export function disposeLlmInt8({ transposed, magnitudes, bias }: LlmInt8Tensors): void {
  tf.dispose([transposed, magnitudes, ...(bias ? [bias] : [])])
}

/** Inputs x [tokens, columns] on the engine; made in a `tidy`, which disposes of them. */
export function llmInt8Batch(x: Float32Array, tokens: number, columns: number, threshold: number): LlmInt8Batch {
  const { codes, magnitudes, isOutlier } = quantizeLlmInt8Inputs(x, tokens, columns, threshold)
  const numbers = columnsLeft(isOutlier)
  const values = new Float32Array(tokens * numbers.length)
  for (let token = 0, at = 0; token < tokens; token++) for (const column of numbers) values[at++] = x[token * columns + column]
  return {
    codes: tf.tensor2d(codes, [tokens, columns]),
    magnitudes: tf.tensor2d(magnitudes, [tokens, 1]),
    left: numbers.length > 0 ? { columns: tf.tensor1d(numbers, 'int32'), values: tf.tensor2d(values, [tokens, numbers.length]) } : null,
    length: longest(codes, columns),
    isOutlier,
  }
}

/** A batch through a linear: [tokens, rows]. */
export function applyLlmInt8(x: LlmInt8Batch, linear: LlmInt8Tensors): Tensor2D {
  return tf.tidy(() => {
    const scaled = tf.mul(tf.mul(sums(x, linear), tf.mul(x.magnitudes, linear.magnitudes)), PER_PRODUCT)
    const y = linear.bias ? tf.add(scaled, linear.bias) : scaled
    if (!x.left) return y as Tensor2D
    const weight = tf.mul(tf.mul(tf.gather(linear.transposed, x.left.columns), linear.magnitudes), PER_CODE)
    return tf.add(y, linearMatMul(x.left.values, weight)) as Tensor2D
  })
}

/**
 * As `applyLlmInt8`, for few tokens and without an engine. `multiply` gives x times the transposed codes of some linears, [tokens, rows] each, to within
 * less than a half where x are codes.
 */
export function multiplyLlmInt8(
  x: Float32Array,
  tokens: number,
  threshold: number,
  linears: readonly Omit<LlmInt8Weight, 'codes'>[],
  multiply: (x: Float32Array, tokens: number) => Float32Array[],
): Float32Array[] {
  const columns = x.length / tokens
  const inputs = quantizeLlmInt8Inputs(x, tokens, columns, threshold)
  const hasLeft = inputs.isOutlier.includes(1)
  // What is left goes through as further tokens, so that weights are read once.
  const both = new Float32Array(hasLeft ? 2 * x.length : x.length)
  both.set(inputs.codes)
  if (hasLeft) for (let i = 0; i < x.length; i++) both[x.length + i] = inputs.isOutlier[i % columns] ? x[i] : 0
  const found = multiply(both, both.length / columns)
  return linears.map((linear, i) => scaled(found[i], inputs, linear, hasLeft))
}

function scaled(
  found: Float32Array,
  inputs: LlmInt8Inputs,
  { magnitudes, bias }: Omit<LlmInt8Weight, 'codes'>,
  hasLeft: boolean,
): Float32Array {
  const { fround } = Math
  const rows = magnitudes.length
  const out = new Float32Array(inputs.magnitudes.length * rows)
  for (let i = 0; i < out.length; i++) {
    const row = i % rows
    const magnitude = fround(inputs.magnitudes[Math.floor(i / rows)] * magnitudes[row])
    const y = fround(fround(Math.round(found[i]) * magnitude) * PER_PRODUCT)
    const more = bias ? fround(y + bias[row]) : y
    out[i] = hasLeft ? more + fround(fround(found[out.length + i] * magnitudes[row]) * PER_CODE) : more
  }
  return out
}

/** Sums of products of codes [tokens, rows]. By Cauchy and Schwarz no partial sum is larger than the product of the lengths, so mostly one product is exact; else so are those of segments, and only adding them can round. */
function sums({ codes, length }: LlmInt8Batch, linear: LlmInt8Tensors): Tensor {
  const [columns, rows] = linear.transposed.shape
  if (length * linear.length < EXACT) return linearMatMul(codes, linear.transposed)
  let total: Tensor | undefined
  for (let from = 0; from < columns; from += SEGMENT) {
    const count = Math.min(SEGMENT, columns - from)
    const part = linearMatMul(tf.slice(codes, [0, from], [codes.shape[0], count]), tf.slice(linear.transposed, [from, 0], [count, rows]))
    total = total ? tf.add(total, part) : part
  }
  return total ?? linearMatMul(codes, linear.transposed)
}

/** The largest length (root of the sum of squares) of a row. */
function longest(x: Float32Array, columns: number): number {
  let most = 0
  for (let from = 0; from < x.length; from += columns) {
    let sum = 0
    for (let i = from; i < from + columns; i++) sum += x[i] * x[i]
    most = Math.max(most, sum)
  }
  return Math.sqrt(most)
}

function columnsLeft(isOutlier: Uint8Array): Int32Array {
  return Int32Array.from([...isOutlier.keys()].filter((column) => isOutlier[column] === 1))
}
