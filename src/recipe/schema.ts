import type { ModifierDefinition } from '../modifiers/modifier.ts'
import { loadRegistry } from './registry.ts'
import { GROUP, STAGE } from './shape.ts'

type JsonSchema = Record<string, unknown>

function reference(name: string): JsonSchema {
  return { $ref: `#/$defs/${name}` }
}

/** A modifier under its names: the first as llm-compressor spells it, the others short. */
function namesOf(definitions: readonly ModifierDefinition[]): JsonSchema {
  return Object.fromEntries(
    definitions.flatMap(({ names, description }) =>
      names.map((name) => [name, { description, anyOf: [reference(names[0]), { type: 'null' }] }]),
    ),
  )
}

const ARGS = { type: ['object', 'null'], description: 'Kept by llm-compressor and never read; of no effect.' }

/**
 * The JSON schema of recipes, for editors: every shape that `loadRecipe` takes, with the options of these modifiers. A modifier's own
 * schema is what recipes are validated with; this one is made of them.
 */
function recipeSchema(definitions: readonly ModifierDefinition[]): JsonSchema {
  const names = namesOf(definitions)
  const group = reference('modifiers')
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'llmpress recipe',
    description: 'What to do to a model, in order. Recipes of llm-compressor are taken unchanged.',
    anyOf: [reference('recipe'), reference('list')],
    $defs: {
      recipe: {
        type: 'object',
        properties: { $schema: { type: 'string' }, args: ARGS, modifiers: group, ...names },
        patternProperties: { [STAGE]: reference('stage'), [GROUP]: group },
        additionalProperties: false,
      },
      stage: {
        description: 'A stage of llm-compressor. All stages act as one list.',
        anyOf: [
          {
            type: 'object',
            properties: { run_type: { enum: ['oneshot', null] }, args: ARGS, modifiers: group, ...names },
            patternProperties: { [GROUP]: group },
            additionalProperties: false,
          },
          reference('list'),
        ],
      },
      modifiers: {
        description: 'Modifiers in the order they act.',
        anyOf: [{ type: 'object', properties: names, additionalProperties: false }, reference('list')],
      },
      list: {
        type: 'array',
        items: {
          anyOf: [
            {
              type: 'object',
              properties: { modifiers: group, ...names },
              patternProperties: { [GROUP]: group },
              additionalProperties: false,
            },
            { enum: Object.keys(names) },
          ],
        },
      },
      ...Object.fromEntries(definitions.map(({ names: [name], description, schema }) => [name, { ...schema, description }])),
    },
  }
}

/** The text of schemas/recipe.schema.json: the schema of the modifiers that come with the package. */
export async function recipeSchemaFile(): Promise<string> {
  const definitions = [...new Set((await loadRegistry()).values())]
  return `${JSON.stringify(recipeSchema(definitions), null, 2)}\n`
}
