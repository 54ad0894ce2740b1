import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { ModifierDefinition } from './modifier.ts'

/**
 * The type of the options that a JSON schema describes. Conditional, so that it is worked out for a schema at hand only: with `JSONSchema`
 * as the bound of a type parameter, tsc works it out for the union of all schemas first, takes half a minute and gives up (TS2590).
 */
type OptionsOf<Schema> = Schema extends JSONSchema ? FromSchema<Schema> : never

/**
 * Types a modifier of your own: its options follow from its JSON schema. Hand it to `oneshot({ modifiers })`, or export it as
 * `modifier` from a module whose path or package name is handed over there; recipes name it and never load code.
 */
export function defineModifier<const Schema extends Readonly<Record<string, unknown>>>(
  definition: Omit<ModifierDefinition<OptionsOf<Schema>>, 'schema'> & { readonly schema: Schema },
): ModifierDefinition {
  return definition as unknown as ModifierDefinition
}
