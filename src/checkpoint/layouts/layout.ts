import type { DType, FloatDType } from '../../numerics/dtype.ts'
import type { QuantizationArgs, QuantizationScheme } from '../quantization-config.ts'

/**
 * A quantized weight matrix [rows, columns] before it takes an on-disk form. What is here is exactly what is written:
 * integer codes are kept from the algorithm to the file and never recovered from dequantized values.
 */
export interface Quantized {
  args: QuantizationArgs
  rows: number
  columns: number
  /** Row major [rows, columns]. Int types: signed codes in Int8Array (-2^(b-1) .. 2^(b-1)-1). float8: E4M3 bit patterns in Uint8Array. */
  codes: Int8Array | Uint8Array
  /** Effective scales as float32, each already representable in `scaleDtype`; row major in `scaleShape`. */
  scale: Float32Array
  /** tensor [1]; channel [rows, 1]; group [rows, columns / group_size]; block [ceil(rows / bh), ceil(columns / bw)]. */
  scaleShape: readonly number[]
  scaleDtype: FloatDType
  /** Signed zero points in the shape of `scale`; null when symmetric. weight = (code - zeroPoint) * scale. */
  zeroPoint: Int8Array | null
}

/** What a layout stores beside a module's name, e.g. suffix `weight_packed`. */
export interface StoredTensor {
  suffix: string
  dtype: DType
  shape: readonly number[]
}

/** One on-disk format of compressed-tensors (spec: `format` in quantization_config). One file each in this folder. */
export interface Layout {
  /** The name in config.json: `pack-quantized`, `int-quantized`, ... */
  readonly format: string
  /** True for the schemes this format stores by default; exactly one layout applies to a scheme. */
  applies(scheme: QuantizationScheme): boolean
  /** The tensors stored for a weight of [rows, columns], known without the weight: what the plan and `verify` count on. */
  tensors(args: QuantizationArgs, rows: number, columns: number, scaleDtype: FloatDType): StoredTensor[]
  /** Bytes per suffix, in the order and sizes of `tensors`. */
  encode(quantized: Quantized): Map<string, Uint8Array>
  /** The inverse of encode. `read` gives the stored bytes of a suffix. */
  decode(
    args: QuantizationArgs,
    rows: number,
    columns: number,
    scaleDtype: FloatDType,
    read: (suffix: string) => Promise<Uint8Array>,
  ): Promise<Quantized>
}
