/** What bitsandbytes stores below the name of a weight. */
const BELOW_WEIGHT = /\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.bitsandbytes__[^.]+)$/

/** The module that a tensor belongs to: its name up to the last dot, or up to the weight that it describes. */
export function moduleOfTensor(name: string): string {
  return BELOW_WEIGHT.test(name) ? name.replace(BELOW_WEIGHT, '') : name.slice(0, Math.max(0, name.lastIndexOf('.')))
}
