import type { QuantizationOptions } from '../modifiers/quantization-options.ts'

/** Options of a modifier. Those that quantizing modifiers share are spelled out for editors; each modifier checks its own. */
export type ModifierOptions = (Partial<QuantizationOptions> & Readonly<Record<string, unknown>>) | null

/** Modifiers by name: `{ GPTQModifier: { scheme: 'W4A16' } }`. They act in order. */
export type ModifierMapping = Readonly<Record<string, ModifierOptions>>

/** Modifiers in order; a name alone takes the defaults. */
export type ModifierList = readonly (ModifierMapping | string)[]

/** The short form of a recipe as an object. `loadRecipe` also takes every form that YAML may have. */
export interface RecipeObject {
  readonly modifiers: ModifierMapping | ModifierList
}

/** Types a recipe that is written in code; gives back what it is given. */
export function defineRecipe<const T extends RecipeObject>(recipe: T): T {
  return recipe
}
