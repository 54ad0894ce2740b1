import type { FourBitType } from '../numerics/bitsandbytes-codes.ts'

/**
 * The `quantization_config` section of config.json as compressed-tensors defines it; keys are spelled as on the wire. Those of GPTQ, AWQ and
 * bitsandbytes checkpoints are brought into this form.
 */

export type Strategy = 'tensor' | 'channel' | 'group' | 'block' | 'token' | 'tensor_group' | 'attn_head'

/** How one tensor (weights, inputs or outputs) is quantized. */
export interface QuantizationArgs {
  num_bits: number
  /** `nf4`, `fp4`: the 4-bit types of bitsandbytes, which compressed-tensors has not. */
  type: 'int' | 'float' | FourBitType
  strategy: Strategy
  /** Columns that share a scale; null unless the strategy is group or tensor_group. */
  group_size: number | null
  /** [rows, columns] of a block; null unless the strategy is block. */
  block_structure: [number, number] | null
  symmetric: boolean
  /** true: ranges are found at run time, nothing is stored. */
  dynamic: boolean | 'local'
  /** `group`: columns stand in groups that are stored (GPTQ's act-order, compressed-tensors before 0.19); read, never chosen by a recipe. */
  actorder: 'static' | 'weight' | 'group' | null
  scale_dtype: string | null
  zp_dtype: string | null
  observer: string | null
  observer_kwargs: Record<string, unknown>
  /** Of weights in a bitsandbytes checkpoint: what else it says of all of them. Else absent. */
  bitsandbytes?: BitsAndBytesSettings
  /** Of inputs of LLM.int8: columns with a magnitude of this or more are left in 16 bits; 0: none are. Else absent. */
  outlier_threshold?: number
}

/** The keys of transformers' BitsAndBytesConfig that a checkpoint is read or loaded by, beside those that the args have. */
export interface BitsAndBytesSettings {
  bnb_4bit_use_double_quant: boolean
  /** torch's name of the type that packed codes are stored as. */
  bnb_4bit_quant_storage: string
  /** torch's name of the type that loaders multiply in. */
  bnb_4bit_compute_dtype: string
  llm_int8_threshold: number
  llm_int8_enable_fp32_cpu_offload: boolean
}

/** One entry of `config_groups`: which modules, and how each of their tensors is quantized. */
export interface QuantizationScheme {
  targets: string[]
  weights: QuantizationArgs | null
  input_activations: QuantizationArgs | null
  output_activations: QuantizationArgs | null
  /** On-disk format; null lets the layouts decide (`layoutFor`). */
  format: string | null
}

export interface QuantizationConfig {
  quant_method: 'compressed-tensors' | 'gptq' | 'awq' | 'bitsandbytes'
  format: string
  quantization_status: 'compressed'
  config_groups: Record<string, QuantizationScheme>
  ignore: string[]
  kv_cache_scheme: QuantizationArgs | null
}
