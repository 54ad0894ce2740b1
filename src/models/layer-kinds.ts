import { CheckpointError } from '../util/errors.ts'
import { type Config, count, flag, wholeNumber } from './config-values.ts'

/** A fact or several by which layers differ. */
type Kind = string | number | boolean | null | Readonly<Record<string, string | number | boolean | null>>

/** What `make` gives for the kind of a layer, the same object for equal kinds: layers that are alike share what they are made of. */
export function byKind<K extends Kind, T>(kinds: readonly K[], make: (kind: K) => T): (layer: number) => T {
  const keys = kinds.map((kind) => JSON.stringify(kind))
  const made = new Map<string, T>()
  for (const [layer, key] of keys.entries()) if (!made.has(key)) made.set(key, make(kinds[layer]))
  return (layer) => {
    const found = made.get(keys[layer])
    if (found === undefined) throw new RangeError(`Cannot find layer ${layer}, expected 0 to ${keys.length - 1}`)
    return found
  }
}

const ATTENTIONS = ['full_attention', 'sliding_attention', 'chunked_attention'] as const

/** The attention of a layer, as `layer_types` names it. */
export type AttentionType = (typeof ATTENTIONS)[number]

/**
 * The attention of every layer: `layer_types` of config.json, or what older files say by other keys.
 * Errors: CheckpointError for a list that is not one known name a layer.
 */
export function layerTypes(config: Config, otherwise: (layer: number) => AttentionType): AttentionType[] {
  const layers = count(config, 'num_hidden_layers')
  const list = config.layer_types ?? null
  if (list === null) return Array.from({ length: layers }, (_, layer) => otherwise(layer))
  const known = Array.isArray(list) ? list.flatMap((name) => ATTENTIONS.find((type) => type === name) ?? []) : []
  if (Array.isArray(list) && list.length === layers && known.length === layers) return known
  const found = Array.isArray(list) ? `[${[...new Set(list)].join(', ')}] for ${list.length} layers` : JSON.stringify(list)
  const message = `Cannot read the model's config.json: layer_types is ${found}, expected ${ATTENTIONS.join(' or ')} for each of ${layers} layers.`
  throw new CheckpointError(message, { file: 'config.json' })
}

/** `sliding_window` in tokens; null for none. Errors: CheckpointError. */
export function slidingWindow(config: Config): number | null {
  return (config.sliding_window ?? null) === null ? null : count(config, 'sliding_window')
}

/** The window of every layer as Qwen 2 and 3 have it: from `max_window_layers` on, and only where `use_sliding_window` says so. */
export function qwenWindows(config: Config): (number | null)[] {
  const window = flag(config, 'use_sliding_window') ? slidingWindow(config) : null
  const from = wholeNumber(config, 'max_window_layers')
  const types = layerTypes(config, (layer) => (window !== null && layer >= from ? 'sliding_attention' : 'full_attention'))
  return types.map((type) => (type === 'sliding_attention' ? window : null))
}

/** Which layers rotate: `no_rope_layers`, whose ones mean that they do, or all but every fourth. Errors: CheckpointError. */
export function rotatedLayers(config: Config): boolean[] {
  const layers = count(config, 'num_hidden_layers')
  const list = config.no_rope_layers ?? null
  const interval = count(config, 'no_rope_layer_interval')
  if (list === null || (Array.isArray(list) && list.length === 0))
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0)
  if (Array.isArray(list) && list.length === layers) return list.map((value) => value === 1 || value === true)
  const message = `Cannot read the model's config.json: no_rope_layers is ${JSON.stringify(list)}, expected 0 or 1 for each of ${layers} layers.`
  throw new CheckpointError(message, { file: 'config.json' })
}
