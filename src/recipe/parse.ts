import { Ajv, type ValidateFunction } from 'ajv'
import type { ModifierDefinition } from '../modifiers/modifier.ts'
import { resolveSchemes, type SchemeOptions } from '../schemes/resolve.ts'
import { SchemeError } from '../schemes/scheme-error.ts'
import { type Position, type RecipeError, UserError } from '../util/errors.ts'
import { type Problem, problemsOf } from './errors.ts'
import type { Recipe, RecipeModifier } from './recipe.ts'
import { loadRegistry, type Registry } from './registry.ts'
import { type ModifierEntry, readShape } from './shape.ts'
import { readSource } from './source.ts'
import { parseYaml, type YamlSource } from './yaml.ts'

export interface LoadRecipeOptions {
  /**
   * Modifiers of your own: definitions, or the packages or paths (`./my-modifier.js`) that export one. Recipes name them, and never load
   * code.
   */
  readonly modifiers?: readonly (ModifierDefinition | string)[]
}

/** `validateSchema`: whether it is looked at itself, which takes longer than all else here and which those that are shipped have behind them. */
function compile(definition: ModifierDefinition, validateSchema: boolean): ValidateFunction {
  try {
    return new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false, validateSchema }).compile(definition.schema)
  } catch (error) {
    throw new UserError(
      `Cannot use modifier ${definition.names[0]}: its schema is not a JSON schema (${error instanceof Error ? error.message : error})`,
    )
  }
}

/** What a person reads before mending the first. */
const MOST_SHOWN = 10

/** The first mistakes, in the order of the text: the first with its source frame, the others after it, and how many there are beside. */
function rejection(problems: readonly Problem[], entry: ModifierEntry, source: YamlSource): RecipeError {
  const place = ({ path, spot, message }: Problem, also: readonly string[] = []) =>
    source.errorAt([...entry.path, ...path], message, spot, also)
  const sorted = problems
    .map((problem) => ({ problem, error: place(problem) }))
    .sort((a, b) => order(a.error.position) - order(b.error.position))
  const [first, ...others] = sorted
  if (!first) return source.errorAt(entry.path, `Cannot use the options of ${entry.name}`, 'key')
  const shown = others.slice(0, MOST_SHOWN).map(({ error }) => error.message)
  const more = others.length - shown.length
  return place(first.problem, more > 0 ? [...shown, `and ${more} more`] : shown)
}

/** Columns stay far below 2^20: the text is no longer than that. */
function order(position: Position | undefined): number {
  return position ? position.line * 2 ** 21 + position.column : 0
}

function readModifier(entry: ModifierEntry, source: YamlSource, registry: Registry, areShipped: boolean): RecipeModifier {
  const definition = registry.get(entry.name)
  if (!definition) throw source.errorAt(entry.path, `Cannot use ${entry.name}: no modifier of this name`, 'key')
  const options: unknown = structuredClone(entry.options)
  const validate = compile(definition, !areShipped)
  if (!validate(options)) {
    throw rejection(problemsOf(validate.errors ?? [], entry.name), entry, source)
  }
  const errorAt = (path: readonly (string | number)[], message: string) => source.errorAt([...entry.path, ...path], message)
  const checked = options as Readonly<Record<string, unknown>>
  return {
    definition,
    options: checked,
    schemes: definition.quantizes ? readSchemes(() => definition.schemes?.(checked as never) ?? checked, errorAt) : [],
    errorAt,
  }
}

function readSchemes(options: () => SchemeOptions, errorAt: RecipeModifier['errorAt']): RecipeModifier['schemes'] {
  try {
    return resolveSchemes(options())
  } catch (error) {
    throw error instanceof SchemeError ? errorAt(error.path, error.message) : error
  }
}

/**
 * Reads a recipe: a file (.yaml, .yml, .json, .md with front matter), YAML or JSON text, an object, the name of a recipe that comes with
 * the package (`gptq-w4a16`), or a preset scheme (`W4A16`: plain rounding of all linears but lm_head). llm-compressor's recipes are taken
 * unchanged. Nothing in a recipe runs code. Errors: RecipeError with line, column and what was probably meant.
 */
export async function loadRecipe(source: string | object, options: LoadRecipeOptions = {}): Promise<Recipe> {
  const { name, label, text, linesBefore, file } = await readSource(source)
  const yaml = parseYaml('\n'.repeat(linesBefore) + text, label)
  const registry = await loadRegistry(options.modifiers)
  const areShipped = !options.modifiers?.length
  const modifiers = readShape(yaml, registry).map((entry) => readModifier(entry, yaml, registry, areShipped))
  return { name, text, ...(file === undefined ? {} : { file }), modifiers }
}
