import type { DType, FloatDType, ScaleDType } from '../../numerics/dtype.ts'
import type { SpareMemory } from '../../util/spare-memory.ts'
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
   * byte: E4M3 for 8 bits, E2M1 (0 .. 15) for 4. NF4 and FP4 of bitsandbytes: codes 0 .. 15 in Uint8Array. Layouts pack them.
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
  /**
   * What the scales are divided by, weight = code * scale / globalScale: the float32 of NVFP4 (strategy tensor_group), 127 in LLM.int8, whose
   * scales are the largest magnitudes. Else null.
   */
  globalScale: number | null
  /** [columns] the group of each column, where groups are not runs of neighbours (GPTQ's act-order); else absent. */
  groupOf?: Int32Array
  /** NF4 and FP4: the type that the weight had, and its scales as they are stored where those are quantized too. Else absent. */
  fourBit?: { readonly dtype: FloatDType; readonly nested: NestedScales | null }
}

/** Scales in codes of the dynamic map (double quantization): scale = map[code] * absmax of its block + offset, in float32. */
export interface NestedScales {
  readonly codes: Uint8Array
  /** [ceil(codes / 256)] */
  readonly absmax: Float32Array
  /** The mean of the scales. */
  readonly offset: number
}

/** Whose checkpoints a format belongs to, by the `quant_method` of config.json. */
export type Method = 'compressed-tensors' | 'gptq' | 'awq' | 'bitsandbytes'

/** What a layout stores beside a module's name, e.g. suffix `weight_packed`. */
export interface StoredTensor {
  suffix: string
  dtype: DType
  shape: readonly number[]
  /** Only the weight tells how many elements there are: `shape` has the most that there can be, and what is stored may have fewer. */
  varies?: true
}

/** One on-disk format (of compressed-tensors: `format` in quantization_config). One file each in this folder. */
export interface Layout {
  /** The name in config.json: `pack-quantized`, `int-quantized`, ... */
  readonly format: string
  readonly method: Method
  /** The suffix of the scales, which every compressed linear has. */
  readonly scales: 'weight_scale' | 'scales' | 'weight.absmax' | 'SCB'
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
  /**
   * Gives a function that says of a weight how many elements the tensors that vary have, by suffix; null where `tensors` is exact for a scheme.
   * Absent: it always is.
   */
  lengths?(
    args: QuantizationArgs,
    rows: number,
    columns: number,
    scaleDtype: ScaleDType,
  ): ((weight: Float32Array) => ReadonlyMap<string, number>) | null
  /** Bytes per suffix, in the order and sizes of `tensors`, but for what varies. They may lie in `memory`. */
  encode(quantized: Quantized, memory?: SpareMemory): Map<string, Uint8Array>
  /** The inverse of encode. `read` gives the stored bytes of a suffix. Codes may lie in `memory`. */
  decode(
    args: QuantizationArgs,
    rows: number,
    columns: number,
    scaleDtype: ScaleDType,
    read: (suffix: string) => Promise<Uint8Array>,
    memory?: SpareMemory,
  ): Promise<Quantized>
}
