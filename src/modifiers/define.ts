import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { ModifierDefinition } from './modifier.ts'

/**
 * Types a modifier of your own: its options follow from its JSON schema. Hand it to `oneshot({ modifiers })`, or export it as
 * `modifier` from a module that recipes name by path or package.
 */
export function defineModifier<const Schema extends JSONSchema & Readonly<Record<string, unknown>>>(
  definition: Omit<ModifierDefinition<FromSchema<Schema>>, 'schema'> & { readonly schema: Schema },
): ModifierDefinition {
  return definition as unknown as ModifierDefinition
}
