/** A module's name in parts: `model.layers.3.mlp.up_proj` is layer 3 of `model.layers`, linear `mlp.up_proj`. */
export interface LayerName {
  prefix: string
  layer: number
  rest: string
}

/** Splits a module's name at its first number, the layer's; null for one outside the layers, such as lm_head. */
export function splitLayer(name: string): LayerName | null {
  const [, prefix, layer, rest] = /^(.*?)\.(\d+)(?:\.(.*))?$/.exec(name) ?? []
  return prefix === undefined ? null : { prefix, layer: Number(layer), rest: rest ?? '' }
}

/** Numbers as runs: [0, 1, 2, 5] is `0-2,5`. */
export function runs(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b)
  const spans: [number, number][] = []
  for (const n of sorted) {
    const last = spans.at(-1)
    if (last && last[1] === n - 1) last[1] = n
    else spans.push([n, n])
  }
  return spans.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}

/** Module names with the layers that have the same one put together: `model.layers.0-3.mlp.up_proj`, in order of first appearance. */
export function foldLayers(names: readonly string[]): string[] {
  const layersOf = new Map<string, number[]>()
  for (const name of names) {
    const parts = splitLayer(name)
    const key = parts ? `${parts.prefix}\0${parts.rest}` : name
    const layers = layersOf.get(key) ?? []
    if (parts) layers.push(parts.layer)
    layersOf.set(key, layers)
  }
  return [...layersOf].map(([key, layers]) => {
    const [prefix, rest] = key.split('\0')
    return layers.length === 0 ? key : [prefix, runs(layers), rest].filter(Boolean).join('.')
  })
}
