import type { RecipeError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { shown } from './errors.ts'
import type { Registry } from './registry.ts'
import type { Path, YamlSource } from './yaml.ts'

/** A modifier as the recipe writes it, before its options are checked. */
export interface ModifierEntry {
  readonly name: string
  readonly options: unknown
  /** From the recipe's root to the options. */
  readonly path: Path
}

/** `X_stage`; also the numbered ones that llm-compressor writes when it merges recipes and cannot read itself. */
export const STAGE = '_stage(_\\d+)?$'
/** A group of modifiers: any name ending so. */
export const GROUP = '_modifiers$'

/** Names that llm-compressor 0.14 knows (`ModifierFactory`). */
const LLM_COMPRESSOR = [
  'AWQModifier',
  'AutoRoundModifier',
  'ConstantPruningModifier',
  'GPTQModifier',
  'LogarithmicEqualizationModifier',
  'MagnitudePruningModifier',
  'QuIPModifier',
  'QuantizationModifier',
  'REAPPruningModifier',
  'SmoothQuantModifier',
  'SparseGPTModifier',
  'SpinQuantModifier',
  'WandaPruningModifier',
]

type Mapping = Readonly<Record<string, unknown>>

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads the shapes of recipes into one list. Everything that llm-compressor drops without a word is taken by its meaning or refused. */
class ShapeReader {
  readonly #source: YamlSource
  readonly #registry: Registry

  constructor(source: YamlSource, registry: Registry) {
    this.#source = source
    this.#registry = registry
  }

  root(value: unknown): ModifierEntry[] {
    if (Array.isArray(value)) return this.#list(value, [])
    if (!isMapping(value)) throw this.#refuse([], `found ${value === null ? 'nothing' : shown(value)}`, 'a mapping of stages or modifiers')
    return Object.entries(value).flatMap(([key, item]) => {
      if (key === 'args') return this.#args(item, [key])
      if (key === '$schema') return typeof item === 'string' ? [] : this.#fail([key], shown(item), 'the address of a JSON schema')
      if (new RegExp(STAGE).test(key)) return this.#stage(item, [key])
      return this.#member(key, item, [key], ['args', 'modifiers', 'default_stage'])
    })
  }

  #stage(value: unknown, path: Path): ModifierEntry[] {
    if (Array.isArray(value)) return this.#list(value, path)
    if (!isMapping(value))
      return this.#fail(path, value === null ? 'nothing' : shown(value), 'a mapping of groups (default_modifiers) or modifiers')
    return Object.entries(value).flatMap(([key, item]) => {
      if (key === 'args') return this.#args(item, [...path, key])
      if (key === 'run_type') {
        return item === null || item === 'oneshot'
          ? []
          : this.#fail([...path, key], shown(item), 'oneshot: training is no part of llmpress')
      }
      return this.#member(key, item, [...path, key], ['args', 'run_type', 'modifiers', 'default_modifiers'])
    })
  }

  /** A key of the root or of a stage: a group of modifiers, or a modifier. */
  #member(key: string, value: unknown, path: Path, others: readonly string[]): ModifierEntry[] {
    if (key === 'modifiers' || new RegExp(GROUP).test(key)) return this.#group(value, path)
    return [this.#modifier(key, value, path, others)]
  }

  #group(value: unknown, path: Path): ModifierEntry[] {
    if (Array.isArray(value)) return this.#list(value, path)
    if (!isMapping(value)) return this.#fail(path, value === null ? 'nothing' : shown(value), 'modifiers, as a mapping or a list')
    return Object.entries(value).map(([key, item]) => this.#modifier(key, item, [...path, key]))
  }

  #list(items: readonly unknown[], path: Path): ModifierEntry[] {
    return items.flatMap((item, i) => {
      const at = [...path, i]
      if (typeof item === 'string') return [this.#modifier(item, null, at)]
      if (!isMapping(item)) return this.#fail(at, shown(item), 'a modifier, `- GPTQModifier: {...}`')
      return Object.entries(item).flatMap(([key, value]) => this.#member(key, value, [...at, key], []))
    })
  }

  /** llm-compressor stores these and never reads them; nothing depends on them here either. */
  #args(value: unknown, path: Path): ModifierEntry[] {
    return value === null || isMapping(value) ? [] : this.#fail(path, shown(value), 'a mapping')
  }

  #modifier(name: string, options: unknown, path: Path, others: readonly string[] = []): ModifierEntry {
    if (this.#registry.has(name)) return { name, options: options ?? {}, path }
    throw this.#source.errorAt(path, this.#unknown(name, others), 'key')
  }

  #unknown(name: string, others: readonly string[]): string {
    const known = [...new Set([...this.#registry.values()].map(({ names }) => names[0]))]
    const list = known.join(', ')
    if (LLM_COMPRESSOR.includes(name)) return `Cannot use ${name}: llm-compressor has it, this version has not, expected one of ${list}`
    if (/[/\\]|\.[cm]?[jt]s$/.test(name)) {
      return `Cannot use modifier ${shown(name)}: recipes load no code, expected a modifier's name; give the module itself to the program (option modifiers)`
    }
    const owner = [...this.#registry.values()].find(({ schema }) => isMapping(schema.properties) && Object.hasOwn(schema.properties, name))
    if (owner) return `Cannot use key ${shown(name)} here: it is an option of modifiers, expected it below one, such as ${owner.names[0]}`
    const all = [...others, ...this.#registry.keys()]
    const expected = others.length > 0 ? `one of ${others.join(', ')}, or a modifier: ${list}` : `a modifier: ${list}`
    return `Cannot use key ${shown(name)}: found no modifier of this name${didYouMean(name, all)}, expected ${expected}`
  }

  #refuse(path: Path, found: string, expected: string): RecipeError {
    const subject = path.length === 0 ? 'recipe' : String(path[path.length - 1])
    return this.#source.errorAt(path, `Cannot use ${subject}: ${found}, expected ${expected}`)
  }

  #fail(path: Path, found: string, expected: string): never {
    throw this.#refuse(path, `found ${found}`, expected)
  }
}

interface Placeholder {
  readonly text: string
  readonly path: Path
}

function placeholderIn(value: unknown, path: Path): Placeholder | null {
  if (typeof value === 'string') return /^\s*eval\s*\(|^\$\{?[A-Za-z_]\w*\}?$/.test(value) ? { text: value, path } : null
  if (typeof value !== 'object' || value === null) return null
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const found = key === '$schema' ? null : placeholderIn(item, [...path, key])
    if (found) return found
  }
  return null
}

/**
 * The modifiers of a recipe in order, from any of its shapes: llm-compressor's stages and groups, or shorter: groups or modifiers at the
 * root, lists instead of mappings, bare names. Errors: RecipeError for a key that is not known, a recipe without modifiers, placeholders.
 */
export function readShape(source: YamlSource, registry: Registry): ModifierEntry[] {
  const placeholder = placeholderIn(source.value, [])
  if (placeholder)
    throw source.errorAt(
      placeholder.path,
      `Cannot use recipe: found the placeholder ${shown(placeholder.text)}, expected the value itself (nothing is filled in or evaluated)`,
    )
  const entries = new ShapeReader(source, registry).root(source.value)
  if (entries.length === 0)
    throw source.errorAt([], 'Cannot use recipe: found no modifier, expected at least one, such as `GPTQModifier: {scheme: W4A16}`')
  return entries
}
