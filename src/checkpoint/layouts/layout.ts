import type { DType, ScaleDType } from '../../numerics/dtype.ts'
import type { QuantizationArgs, QuantizationScheme } from '../quantization-config.ts'

/**
 * A quantized weight matrix [rows, columns] before it takes an on-disk form. What is here is exactly what is written:
 * integer codes are kept from the algorithm to the file and never recovered from dequantized values.
 */
export interface Quantized {
  args: QuantizationArgs
  rows: number
  columns: number
  /**
   * Row major [rows, columns]. Int types: signed codes in Int8Array (-2^(b-1) .. 2^(b-1)-1). Floats: bit patterns in Uint8Array, one a
   * byte: E4M3 for 8 bits, E2M1 (0 .. 15) for 4. Layouts pack them.
   */
  codes: Int8Array | Uint8Array
  /** Scales as float32, each already representable in `scaleDtype`; row major in `scaleShape`. */
  scale: Float32Array
  /** tensor [1]; channel [rows, 1]; group, tensor_group [rows, columns / group_size]; block [ceil(rows / bh), ceil(columns / bw)]. */
  scaleShape: readonly number[]
  /** What the scales are stored as. */
  scaleDtype: ScaleDType
  /** Signed zero points in the shape of `scale`; null when symmetric. weight = (code - zeroPoint) * scale. */
  zeroPoint: Int8Array | null
  /** NVFP4 (strategy tensor_group): the float32 that the scales are divided by, weight = code * scale / globalScale. Else null. */
  globalScale: number | null
  /** [columns] the group of each column, where groups are not runs of neighbours (GPTQ's act-order); else absent. */
  groupOf?: Int32Array
}

/** Whose checkpoints a format belongs to, by the `quant_method` of config.json. */
export type Method = 'compressed-tensors' | 'gptq' | 'awq'

/** What a layout stores beside a module's name, e.g. suffix `weight_packed`. */
export interface StoredTensor {
  suffix: string
  dtype: DType
  shape: readonly number[]
}

/** One on-disk format (of compressed-tensors: `format` in quantization_config). One file each in this folder. */
export interface Layout {
  /** The name in config.json: `pack-quantized`, `int-quantized`, ... */
  readonly format: string
  readonly method: Method
  /** The suffix of the scales, which every compressed linear has. */
  readonly scales: 'weight_scale' | 'scales'
  /**
   * True for the schemes this format stores by default; exactly one layout applies to a scheme, and none of another method than
   * compressed-tensors.
   */
  applies(scheme: QuantizationScheme): boolean
  /** Why a linear of [rows, columns] with this scheme cannot be stored for the loaders of the format; null where it can. Absent: no limits. */
  refuses?(scheme: QuantizationScheme, rows: number, columns: number): string | null
  /**
   * The tensors stored for a weight of [rows, columns], known without the weight: what the plan and `verify` count on. `scaleDtype` is the
   * type of the model's weights, or of the stored scales; schemes that fix the type of their scales (NVFP4, MX) do not look at it.
   */
  tensors(args: QuantizationArgs, rows: number, columns: number, scaleDtype: ScaleDType): StoredTensor[]
  /** Bytes per suffix, in the order and sizes of `tensors`. */
  encode(quantized: Quantized): Map<string, Uint8Array>
  /** The inverse of encode. `read` gives the stored bytes of a suffix. */
  decode(
    args: QuantizationArgs,
    rows: number,
    columns: number,
    scaleDtype: ScaleDType,
    read: (suffix: string) => Promise<Uint8Array>,
  ): Promise<Quantized>
}
