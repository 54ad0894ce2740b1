import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { Model } from '../models/architecture.ts'
import { modules } from '../models/open-model.ts'
import { matchNames, matchTargets } from '../schemes/match.ts'

/** A scheme with the linears it was settled for. */
export interface SettledGroup {
  /** As the recipe calls it. */
  readonly name: string
  readonly scheme: QuantizationScheme
  /** Full names of the linears. */
  readonly linears: readonly string[]
}

/**
 * The `config_groups` to write. A single group keeps the recipe's targets. Several list their linears by full name: compressed-tensors
 * decides between patterns alphabetically and vLLM takes the first that fits, and each modifier of a recipe has an ignore list of its own,
 * where config.json has one for all.
 */
export function configGroups(
  model: Model,
  settled: readonly SettledGroup[],
  ignore: readonly string[],
): Record<string, QuantizationScheme> {
  const groups: Record<string, QuantizationScheme> = {}
  for (const { name, scheme, linears } of settled) {
    const explicit = { ...scheme, targets: [...linears] }
    groups[freeName(groups, name)] = settled.length === 1 ? withHead(model, scheme, linears) : explicit
  }
  const [only] = settled
  if (settled.length > 1 || readsBack(model, Object.values(groups), ignore, only)) return groups
  return { [only.name]: { ...only.scheme, targets: [...only.linears] } }
}

/** The name, or the first `group_0`, `group_1` ... that no group has: two modifiers may call theirs the same. */
function freeName(groups: Readonly<Record<string, unknown>>, name: string): string {
  let free = name
  for (let number = 0; free in groups; number++) free = `group_${number}`
  return free
}

/** vLLM's output projection is of no class that `Linear` matches: compressed, it must be named. */
function withHead(model: Model, scheme: QuantizationScheme, linears: readonly string[]): QuantizationScheme {
  const head = model.head().name
  const isNamed = scheme.targets.some((target) => matchNames(target, [head]).size > 0)
  return linears.includes(head) && !isNamed ? { ...scheme, targets: [...scheme.targets, head] } : scheme
}

/** Whether a loader that reads targets and ignore finds exactly the linears of the group. */
function readsBack(model: Model, schemes: readonly QuantizationScheme[], ignore: readonly string[], { linears }: SettledGroup): boolean {
  const { assigned } = matchTargets(modules(model), schemes, ignore)
  const found = modules(model).filter(({ name, className }) => (className === 'Linear' || className === 'Embedding') && assigned.has(name))
  return found.length === linears.length && found.every(({ name }) => linears.includes(name))
}
