import { isJsonObject, type JsonObject } from './json-file.ts'

/** What the `quantization_config` of a GPTQ or AWQ checkpoint says beside how its weights are stored. */
export interface ExchangeSettings {
  /** Settings of GPU kernels, and an AWQ checkpoint's `version`, as they stand there. */
  readonly settings: JsonObject
  /** What of them has no effect here, and which keys are not known. */
  readonly notes: readonly string[]
}

// Keys as AutoGPTQ, AutoAWQ, GPTQModel 7.7 and transformers 4 and 5 (`GPTQConfig`, `AwqConfig`) write them.

/** Which kernel multiplies, and how much it has room for. The result is the same but for rounding. */
const KERNEL = [
  'backend',
  'disable_exllama',
  'disable_exllamav2',
  'exllama_config',
  'inject_fused_attention',
  'inject_fused_mlp',
  'max_input_length',
  'use_cuda_fp16',
  'use_exllama',
  'use_marlin',
  'use_triton',
]

/** AutoAWQ's joined layers. */
const FUSED = ['do_fuse', 'fuse_layers', 'fuse_max_seq_len', 'modules_to_fuse']

/** What is read, what says how the codes were found, and what only the program that found them looks at. */
const OTHERS = new Set([
  'act_group_aware',
  'adapter',
  'auto_forward_data_parallel',
  'batch_size',
  'bits',
  'block_name_to_quantize',
  'cache_block_outputs',
  'checkpoint_format',
  'damp_auto_increment',
  'damp_percent',
  'dataset',
  'desc_act',
  'dynamic',
  'format',
  'group_size',
  'is_marlin_format',
  'lm_head',
  'meta',
  'method',
  'model_file_base_name',
  'model_name_or_path',
  'model_seqlen',
  'module_name_preceding_first_block',
  'modules_in_block_to_quantize',
  'modules_to_not_convert',
  'mse',
  'offload_to_disk',
  'offload_to_disk_path',
  'pack_dtype',
  'pack_impl',
  'pad_token_id',
  'q_group_size',
  'quant_method',
  'static_groups',
  'sym',
  'tokenizer',
  'true_sequential',
  'version',
  'w_bit',
  'wbits',
  'zero_point',
])

/**
 * The settings of a GPTQ or AWQ checkpoint that nothing here depends on, to be kept and told; null for another `quantization_config`. A key
 * that is null says nothing, as in the programs that write it.
 */
export function exchangeSettings({ quantization_config: stored }: Readonly<JsonObject>): ExchangeSettings | null {
  if (!isJsonObject(stored) || (stored.quant_method !== 'gptq' && stored.quant_method !== 'awq')) return null
  const set = Object.keys(stored).filter((key) => stored[key] !== null && stored[key] !== undefined)
  const kernel = set.filter((key) => KERNEL.includes(key))
  const fused = set.filter((key) => FUSED.includes(key))
  const unknown = set.filter((key) => !KERNEL.includes(key) && !FUSED.includes(key) && !OTHERS.has(key))
  const version = stored.quant_method === 'awq' ? set.filter((key) => key === 'version') : []
  const notes = [
    ...note(kernel, 'settings of kernels on GPUs: nothing is computed by them here, and the codes do not depend on them'),
    ...note(fused, 'layers that AutoAWQ joins for speed on GPUs: here each is computed by itself, with the same result'),
    ...note(unknown, 'not known here and not looked at: if the weights depend on them, what is read is wrong'),
  ]
  return { settings: Object.fromEntries([...version, ...kernel, ...fused].map((key) => [key, stored[key]])), notes }
}

function note(keys: readonly string[], meaning: string): string[] {
  return keys.length === 0 ? [] : [`quantization_config has ${keys.join(', ')}: ${meaning}`]
}
