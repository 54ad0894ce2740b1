import { fourBitOf, fourBitScaleShape, INT8_LARGEST } from '../checkpoint/bitsandbytes-args.ts'
import type { NestedScales, Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { blockMaxima, encodeFourBit } from '../numerics/bitsandbytes-codes.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { decodeDynamic, dynamicMap, encodeDynamic } from '../numerics/dynamic-map.ts'
import { firstNonFinite } from '../numerics/finite.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import { roundHalfEven } from '../numerics/round.ts'
import { torchMean } from '../numerics/torch-mean.ts'
import { bytesOf } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'

/**
 * A finite weight [rows, columns] in NF4 or FP4, to the byte what bitsandbytes 0.50 makes of it on a CPU. Each block of the flattened weight is scaled to a
 * magnitude of 1 and rounded to the nearest of 16 values. `dtype`: the type of the weight, which is stored beside it. Errors: CheckpointError for
 * other args.
 */
export function quantizeFourBit(weight: Float32Array, rows: number, columns: number, args: QuantizationArgs, dtype: FloatDType): Quantized {
  const { type, blockSize, nested } = fourBitOf(args)
  const { codes, absmax } = encodeFourBit(weight, type, blockSize)
  const scales = nested ? nestedScales(absmax) : null
  return {
    ...{ args, rows, columns, codes },
    ...{ scale: scales ? valuesOf(scales) : absmax, scaleShape: fourBitScaleShape(rows, columns, blockSize), scaleDtype: 'F32' },
    ...{ zeroPoint: null, globalScale: null, fourBit: { dtype, nested: scales } },
  }
}

/** Double quantization: scales without their mean, in codes of the dynamic map. */
function nestedScales(absmax: Float32Array): NestedScales {
  const offset = torchMean(absmax)
  return { ...encodeDynamic(absmax.map((value) => value - offset)), offset }
}

function valuesOf({ codes, absmax, offset }: NestedScales): Float32Array {
  return decodeDynamic(codes, absmax, dynamicMap()).map((value) => value + offset)
}

/**
 * A finite weight [rows, columns] for LLM.int8, to the byte what bitsandbytes 0.50 makes of it on a CPU: taken to float16, every row over its largest magnitude
 * times 127, rounded halves to even. Rows of zeros get codes of 0 and a scale of 0. Errors: CheckpointError naming the tensor for a weight beyond
 * float16.
 */
export function quantizeLlmInt8(weight: Float32Array, rows: number, columns: number, args: QuantizationArgs, tensor: string): Quantized {
  const half = weight.slice()
  roundToDtype(half, 'F16')
  const beyond = firstNonFinite(bytesOf(half), 'F32')
  if (beyond >= 0) {
    const message = `Cannot quantize ${tensor}: found ${weight[beyond]} at element ${beyond}, expected weights that float16 can hold: LLM.int8 takes them to it`
    throw new CheckpointError(message, { tensor })
  }
  const scale = blockMaxima(half, columns)
  const codes = new Int8Array(half.length)
  for (let row = 0; row < rows; row++) {
    if (scale[row] === 0) continue
    const factor = overLargest(scale[row])
    for (let i = row * columns; i < (row + 1) * columns; i++) codes[i] = roundHalfEven(Math.fround(half[i] * factor))
  }
  return { args, rows, columns, codes, scale, scaleShape: [rows, 1], scaleDtype: 'F32', zeroPoint: null, globalScale: INT8_LARGEST }
}

/** What values are multiplied by to be codes, as torch divides a number by a tensor: the float32 inverse, times 127. */
function overLargest(magnitude: number): number {
  return Math.fround(Math.fround(1 / magnitude) * INT8_LARGEST)
}

/** Inputs of linears as LLM.int8 multiplies them. */
export interface LlmInt8Inputs {
  /** [tokens, columns] whole numbers, 0 in columns that are left. */
  readonly codes: Float32Array
  /** [tokens] what 127 stands for. */
  readonly magnitudes: Float32Array
  /** [columns] 1 where a column is left as it is. */
  readonly isOutlier: Uint8Array
}

/**
 * Codes for inputs x [tokens, columns], in the order of bitsandbytes 0.50: columns with a magnitude of at least `threshold` in some token are left as
 * they are; the rest, in float16, by token over the largest magnitude below the threshold times 127, rounded. A threshold of 0 leaves no column.
 * Which columns are left depends on all tokens that come together, in bitsandbytes too.
 */
export function quantizeLlmInt8Inputs(x: Float32Array, tokens: number, columns: number, threshold: number): LlmInt8Inputs {
  const codes = x.slice()
  roundToDtype(codes, 'F16')
  const magnitudes = new Float32Array(tokens)
  const isOutlier = new Uint8Array(columns)
  if (threshold > 0) for (let i = 0; i < codes.length; i++) if (Math.abs(codes[i]) >= threshold) isOutlier[i % columns] = 1
  for (let token = 0; token < tokens; token++) {
    const row = codes.subarray(token * columns, (token + 1) * columns)
    let most = 0
    for (let c = 0; c < columns; c++) {
      const magnitude = Math.abs(row[c])
      if (magnitude > most && (threshold === 0 || magnitude < threshold)) most = magnitude
    }
    magnitudes[token] = most
    const factor = overLargest(most)
    for (let c = 0; c < columns; c++) row[c] = isOutlier[c] || most === 0 ? 0 : roundHalfEven(Math.fround(row[c] * factor))
  }
  return { codes, magnitudes, isOutlier }
}
