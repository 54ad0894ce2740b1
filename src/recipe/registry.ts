import { pathToFileURL } from 'node:url'
import type { ModifierDefinition } from '../modifiers/modifier.ts'
import { UserError } from '../util/errors.ts'
import { loadFolder } from '../util/load-folder.ts'

/** Modifiers by each of their names. */
export type Registry = ReadonlyMap<string, ModifierDefinition>

function isDefinition(value: unknown): value is ModifierDefinition {
  if (typeof value !== 'object' || value === null) return false
  const { names, schema, create, needs } = value as Record<string, unknown>
  return (
    Array.isArray(names) && typeof schema === 'object' && schema !== null && typeof create === 'function' && typeof needs === 'function'
  )
}

/** A modifier of a user's own: a package's name, or a path from the current folder. */
async function fromModule(specifier: string): Promise<ModifierDefinition> {
  const url = /^(\.{1,2}[/\\]|[/\\]|[A-Za-z]:[/\\])/.test(specifier) ? pathToFileURL(specifier).href : specifier
  const loaded: Record<string, unknown> = await import(url).catch((error: unknown) => {
    throw new UserError(
      `Cannot load modifier ${specifier}: ${error instanceof Error ? error.message : error}, expected a package or a path such as ./my-modifier.js`,
    )
  })
  if (isDefinition(loaded.modifier)) return loaded.modifier
  throw new UserError(
    `Cannot load modifier ${specifier}: found exports ${Object.keys(loaded).join(', ') || '(none)'}, expected \`modifier\`, made with defineModifier`,
  )
}

function requireDefinition(item: unknown): ModifierDefinition {
  if (isDefinition(item)) return item
  throw new UserError('Cannot add a modifier: found an object without names, schema, needs and create, expected what defineModifier gives')
}

/**
 * The modifiers that come with the package (every file of `modifiers/` that exports `modifier`) and the user's own: definitions, or
 * modules to import them from. Errors: UserError for a module without one, or a name that is taken.
 */
export async function loadRegistry(own: readonly (ModifierDefinition | string)[] = []): Promise<Registry> {
  const files = await loadFolder(new URL('../modifiers/', import.meta.url))
  const shipped = [...files.values()].map((file) => file.modifier).filter(isDefinition)
  const added = await Promise.all(own.map((item) => (typeof item === 'string' ? fromModule(item) : requireDefinition(item))))
  const registry = new Map<string, ModifierDefinition>()
  for (const definition of [...shipped, ...added]) {
    for (const name of definition.names) {
      if (registry.has(name)) throw new UserError(`Cannot add modifier ${definition.names[0]}: the name ${name} is taken, expected another`)
      registry.set(name, definition)
    }
  }
  return registry
}
