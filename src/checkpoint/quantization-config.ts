/**
 * The `quantization_config` section of config.json as compressed-tensors defines it; keys are spelled as on the wire. Those of GPTQ and AWQ
 * checkpoints are brought into this form.
 */

export type Strategy = 'tensor' | 'channel' | 'group' | 'block' | 'token' | 'tensor_group' | 'attn_head'

/** How one tensor (weights, inputs or outputs) is quantized. */
export interface QuantizationArgs {
  num_bits: number
  type: 'int' | 'float'
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
  quant_method: 'compressed-tensors' | 'gptq' | 'awq'
  format: string
  quantization_status: 'compressed'
  config_groups: Record<string, QuantizationScheme>
  ignore: string[]
  kv_cache_scheme: QuantizationArgs | null
}
