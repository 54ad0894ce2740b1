import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { matchNames } from '../schemes/match.ts'
import { sameScheme } from './scheme-kinds.ts'
import { FUSED } from './served-model.ts'
import type { ServedLayer, ServedModel, ServerFinding, Source } from './server.ts'

/** How a server finds the scheme of a layer in config.json. Both differ from compressed-tensors: they know fused layers only. */
export interface NameRules {
  readonly server: string
  readonly source: Source
  /** The server knows which linears a fused layer is made of. */
  readonly knowsFused: boolean
  /** What is tried after the layer's own name. */
  readonly order: readonly ('fused' | 'class')[]
  /** The classes of the output projection are looked at too; otherwise only its name counts. */
  readonly headByClass: boolean
  /** An entry of `ignore` also stands for names that end with it. */
  readonly ignoreSuffix: boolean
  /** A layer without any target is an error, not a layer that is not compressed. */
  readonly mustMatch: boolean
}

/** The names that each pattern stands for, among those of layers, linears and classes. */
type Matches = (pattern: string, name: string, contains?: boolean) => boolean

/** Names of vLLM's classes (model_executor/layers/linear.py); SGLang took them over. Targets are looked for in them without case. */
function className({ name, isHead }: ServedLayer): string {
  if (isHead) return 'ParallelLMHead'
  if (name.endsWith('qkv_proj')) return 'QKVParallelLinear'
  if (name.endsWith('gate_up_proj')) return 'MergedColumnParallelLinear'
  return /(o_proj|down_proj)$/.test(name) ? 'RowParallelLinear' : 'ColumnParallelLinear'
}

function matcher({ layers, groups, ignore }: ServedModel): Matches {
  const names = layers.flatMap((layer) => [layer.name, className(layer), ...layer.linears.map(({ name }) => name)])
  const unique = [...new Set(names)]
  const patterns = new Set([...groups.flatMap(({ targets }) => targets), ...ignore])
  const found = new Map([...patterns].map((pattern) => [pattern, matchNames(pattern, unique)]))
  return (pattern, name, contains = false) => {
    if (contains && !pattern.startsWith('re:')) return name.toLowerCase().includes(pattern.toLowerCase())
    return found.get(pattern)?.has(name) === true
  }
}

/** Parts of a fused layer, where the server knows them. */
function parts(layer: ServedLayer, { knowsFused }: NameRules): string[] {
  const known = Object.keys(FUSED).some((fused) => layer.name.endsWith(`.${fused}`))
  return knowsFused && known ? layer.linears.map(({ name }) => name) : []
}

/** Whether `ignore` takes the layer out; null where it takes only some of its linears out. */
function ignored(layer: ServedLayer, { ignore }: ServedModel, rules: NameRules, matches: Matches): boolean | null {
  const named = (name: string) => ignore.some((pattern) => matches(pattern, name) || (rules.ignoreSuffix && name.endsWith(`.${pattern}`)))
  if (named(layer.name)) return true
  const linears = parts(layer, rules).map(named)
  if (linears.includes(true) && linears.includes(false)) return null
  return linears.includes(true)
}

function findScheme(layer: ServedLayer, { groups }: ServedModel, rules: NameRules, matches: Matches): QuantizationScheme | null {
  // One scheme a target, in order of first appearance, the last group that has it: a Python dict.
  const schemes = new Map(groups.flatMap((group) => group.targets.map((target) => [target, group] as const)))
  const targets = [...schemes.keys()]
  const first = (name: string, contains = false) => targets.find((target) => matches(target, name, contains))
  const fused = () => {
    const found = parts(layer, rules).map((name) => first(name))
    return found.length > 0 && found.every((target) => target !== undefined) ? found[0] : undefined
  }
  const byClass = () => (layer.isHead && !rules.headByClass ? undefined : first(className(layer), true))
  const tried = rules.order.map((kind) => (kind === 'fused' ? fused : byClass))
  const target = first(layer.name) ?? tried.map((find) => find()).find((found) => found !== undefined)
  return (target === undefined ? undefined : schemes.get(target)) ?? null
}

function problem(layer: ServedLayer, model: ServedModel, rules: NameRules, matches: Matches): string | null {
  const [{ scheme }] = layer.linears
  const fused = layer.name.slice(layer.name.lastIndexOf('.') + 1)
  if (layer.linears.some((linear) => !sameScheme(linear.scheme, scheme)))
    return `${rules.server} fuses these linears into ${fused} and needs one scheme for all of them`
  const out = ignored(layer, model, rules, matches)
  if (out === null) return `${rules.server} fuses these linears into ${fused}, of which "ignore" names only a part`
  const found = out ? null : findScheme(layer, model, rules, matches)
  const compressed = scheme?.weights !== null && scheme?.weights !== undefined
  if (!out && found === null && rules.mustMatch && !layer.isHead)
    return `${rules.server} finds ${fused} neither in a target nor in "ignore"`
  if (sameScheme(found, scheme)) return null
  if (compressed && found === null)
    return layer.isHead
      ? `${rules.server} takes ${layer.name} for uncompressed unless a target names it: "Linear" does not stand for it`
      : `${rules.server} takes ${fused} for uncompressed: no target stands for it`
  return `${rules.server} gives ${fused} ${compressed ? 'the scheme of another group' : 'a scheme, where it is not compressed'}`
}

/** Layers for which a server would not find the scheme that the checkpoint has for them. */
export function nameProblems(model: ServedModel, rules: NameRules): ServerFinding[] {
  if (model.groups.length === 0) return []
  const matches = matcher(model)
  return model.layers.flatMap((layer): ServerFinding[] => {
    const message = problem(layer, model, rules, matches)
    return message === null ? [] : [{ severity: 'error', modules: layer.linears.map(({ name }) => name), message, source: rules.source }]
  })
}
