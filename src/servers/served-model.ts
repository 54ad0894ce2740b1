import { parseQuantizationConfig } from '../checkpoint/config.ts'
import type { ServedLayer, ServedLinear, ServedModel } from './server.ts'

/** What vLLM and SGLang make of linears that read the same input (`packed_modules_mapping` of their model classes). */
export const FUSED: Readonly<Record<string, readonly string[]>> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
}

function split(name: string): [path: string, last: string] {
  const dot = name.lastIndexOf('.')
  return [name.slice(0, dot + 1), name.slice(dot + 1)]
}

/** The name of the fused layer that a linear becomes part of; its own name where it stays alone. */
function layerName(name: string, all: ReadonlySet<string>): string {
  const [path, last] = split(name)
  const fused = Object.entries(FUSED).find(([, parts]) => parts.includes(last) && parts.every((part) => all.has(path + part)))
  return fused ? path + fused[0] : name
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/**
 * A checkpoint as servers see it, from its config.json and its linears with their schemes, in the order of the model.
 * Errors: CheckpointError for a quantization_config that cannot be read.
 */
export function servedModel(config: Readonly<Record<string, unknown>>, linears: readonly ServedLinear[], head: string): ServedModel {
  const quantization = parseQuantizationConfig(config)
  const names = new Set(linears.map(({ name }) => name))
  const layers = new Map<string, ServedLayer>()
  for (const linear of linears) {
    const name = layerName(linear.name, names)
    const layer = layers.get(name)
    layers.set(name, { name, linears: layer ? [...layer.linears, linear] : [linear], isHead: linear.name === head })
  }
  const text = isRecord(config.text_config) ? config.text_config : {}
  const dtype = config.dtype ?? config.torch_dtype ?? text.dtype ?? text.torch_dtype
  return {
    modelType: String(config.model_type),
    dtype: typeof dtype === 'string' ? dtype : null,
    layers: [...layers.values()],
    // Of GPTQ and AWQ the tensors tell which linears are compressed: no server looks for targets.
    groups: quantization?.quant_method === 'compressed-tensors' ? Object.values(quantization.config_groups) : [],
    ignore: quantization?.ignore ?? [],
    kvCacheScheme: quantization?.kv_cache_scheme ?? null,
  }
}
